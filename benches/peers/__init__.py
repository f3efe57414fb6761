"""The engines that benches/engine.py compares, each behind the same few calls."""
