"""Encoding of whole corpora: in processes, in runs that can be interrupted, and watched."""
