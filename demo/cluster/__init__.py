"""A cluster of real processes on one machine."""
