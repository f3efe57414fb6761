"""Collections: the store that is the truth, the segments derived from it, and their upkeep."""
