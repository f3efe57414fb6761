"""Filters on metadata: the tree, and its text and JSON forms."""
