"""What each backend does its own way: compiled functions and hand-written gradients."""
