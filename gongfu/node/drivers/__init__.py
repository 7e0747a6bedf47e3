"""What orders really do at a node: the kinds that come with Gongfu, their drivers, and the probes that look at effects.

A file a kind: its declaration, its driver and its probe. A probe never asks the driver, nor looks at what the driver
has written; it looks at the effect by another way.
"""
