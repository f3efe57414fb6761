"""The JSON of REST requests and responses."""
