"""The nodes of the tree as records: this node's identity, its ancestors, its children and all below them."""
