"""Files of term weights that other tools read and write, one module a format."""
