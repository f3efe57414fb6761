"""Engines: top-k inner product over inverted indexes, and exact dense search."""
