"""What watches and starts a training."""
