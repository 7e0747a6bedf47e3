"""Resolution through the tree of nodes: from a root or a parent down the delegations, with caches and a trace."""
