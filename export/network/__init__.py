"""The float description of a spiking network."""
