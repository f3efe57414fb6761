"""The query path, and what it is made of."""
