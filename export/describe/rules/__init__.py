"""One rule for every Keras layer: the layer and the node that it reads, to nodes."""
