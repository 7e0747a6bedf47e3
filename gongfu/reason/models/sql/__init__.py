"""Models that are a SQL statement over the history."""
