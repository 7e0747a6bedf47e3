"""Twins: the latest value of every series, and the checkpoint they are restored from."""
