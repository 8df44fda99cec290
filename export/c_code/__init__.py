"""C code that only adds where something fired: a Program as C99 for any processor, bit for bit."""
