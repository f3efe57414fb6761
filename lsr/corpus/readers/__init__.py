"""Readers: documents from files and data sets, a file a format."""
