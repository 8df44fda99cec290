"""A network as a page that runs in the browser."""
