"""One spelling of a program, whatever target its file was written for: what the C code is planned from."""
