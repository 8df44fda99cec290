"""A grid of networks from one configuration: trained, exported, measured."""
