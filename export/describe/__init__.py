"""keras.Model -> Network, and back."""
