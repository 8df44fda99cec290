"""What a file costs, and the same network with ReLU."""
