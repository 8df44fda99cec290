"""What a target does with a file."""
