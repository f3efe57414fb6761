"""Parts of recipe.py: ingredients, trainings, scores, and the section of the docs."""
