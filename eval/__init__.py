"""Test collections, runs, measures and experiments."""
