"""Text to sparse term weights, and to dense vectors: every family, and all by name."""
