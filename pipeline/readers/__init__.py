"""One reader a format: bytes or rows in, items out."""
