"""The commands: the one place where all packages meet."""
