"""A file on every runtime, value by value."""
