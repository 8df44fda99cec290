"""The integer description: what the file holds, operator for operator, and what it computes."""
