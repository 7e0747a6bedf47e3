"""Orders (指令): what a node tells its subtree, what each target says it did, and what a probe saw.

Everything here is a pure function over values (docs/tree.md, Orders). Times are UTC ns; a target's time is its own
clock corrected to its parent's.
"""
