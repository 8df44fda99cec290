"""The name under which Keras registers the classes of this package."""

from __future__ import annotations

PACKAGE = "keras_ternary_spike"
