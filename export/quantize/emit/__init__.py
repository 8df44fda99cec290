"""One emitter for every kind of node: its operators in the program."""
