"""A server that follows published snapshots: read-only copies, searched from one to the next."""
