"""Which integers can occur, and scales as products and shifts that are exact for them."""
