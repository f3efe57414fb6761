"""Long work, done in a process of its own: one file for each kind."""
