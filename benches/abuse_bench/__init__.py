"""Parts of ``benches/abuse.py``."""
