"""Network -> Network: bare spikes, one threshold, as few multiplications as there can be."""
