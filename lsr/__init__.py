"""Learned sparse retrieval: encoders, sparse vectors, documents."""
