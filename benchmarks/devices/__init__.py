"""A million devices on one node."""
