"""Models as a service: calls, their quota and their usage record."""
