"""What goes in and what is asked: documents, queries, judgements, and their files."""
