"""Connections to machines: the driver kit, the drivers, and what runs and keeps connections."""
