"""The engine bench: vectors, truth, workers, comparison, report."""
