"""Re-rankers: what scores a query's candidates anew, by their texts."""
