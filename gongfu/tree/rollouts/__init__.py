"""Roll-outs: one order issued in waves, the next only when enough of the last one is verified.

``waves`` is the pure state machine; ``section`` stands around it, at the node that issues.
"""
