"""Keras models in float64, where folded and described networks can be compared to the last digits."""

import keras


def in_float64(build):
    """What build() returns, with float64 as the policy of every layer that it makes."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(previous)
