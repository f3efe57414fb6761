"""REST API, search page and command line."""
