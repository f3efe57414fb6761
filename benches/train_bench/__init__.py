"""Parts of train.py: the trainings that are compared, in processes of their own."""
