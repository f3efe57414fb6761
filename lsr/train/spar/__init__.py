"""SPAR's Lambda: a dense model that learns to rank as a sparse encoder does."""
