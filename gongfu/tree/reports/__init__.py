"""What a node tells its parent: kinds, mergeable cells, the ledger of a subtree, publication. Pure functions."""
