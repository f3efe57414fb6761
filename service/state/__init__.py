"""What a server keeps beside its collections."""
