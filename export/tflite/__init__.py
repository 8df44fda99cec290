"""Program <-> bytes, and files of anybody."""
