"""Parts of the bench of hybrid search."""
