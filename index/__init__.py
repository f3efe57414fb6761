"""Collections, engines, fusion, and the one query path."""
