"""HTTP of the tree: nodes, orders, reports. The routes check the action; the tree role answers."""
