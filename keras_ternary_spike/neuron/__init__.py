"""The neuron's mathematics: pure functions of tensors, forward and backward."""
