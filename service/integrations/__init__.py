"""Retrievers of other libraries over collections, one module a library; each needs its own extra.

They take what ``lsr.open`` gives, or what a ``lsr.Client`` or ``lsr.AsyncClient`` opens.
"""
