"""Collections that lie in Qdrant: the same documents, vectors and query path."""
