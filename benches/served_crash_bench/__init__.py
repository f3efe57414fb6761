"""Parts of benches/served_crash.py."""
