"""The training of cross-encoders, which re-rank."""
