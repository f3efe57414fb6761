"""The field's own evaluators and formats: what they ask for, and what they give."""
