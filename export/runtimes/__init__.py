"""Files run: on LiteRT and TFLite Micro, by users and by tests."""
