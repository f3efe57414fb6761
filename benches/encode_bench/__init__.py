"""The encode bench: texts, encoders, children, comparison, parts, effectiveness."""
