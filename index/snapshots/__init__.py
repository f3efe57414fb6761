"""Snapshots that are published: where they lie, how they appear there, which are the newest."""
