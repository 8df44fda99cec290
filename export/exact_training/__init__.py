"""The file's integers as a Keras model, for fine-tuning."""
