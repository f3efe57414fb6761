"""Dense terms: what a dense model knows, put into a sparse encoder's documents."""
