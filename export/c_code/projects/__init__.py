"""Folders that build systems of microcontrollers take as they are."""
