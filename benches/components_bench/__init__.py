"""Parts of components.py: what is trained, and the page of the docs."""
