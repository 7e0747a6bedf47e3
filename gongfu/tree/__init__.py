"""Tree: who is a node, the link between parent and child, orders down, reports up (docs/tree.md)."""
