"""The tree: orders over thousands of sessions, the ledger of orders, roll-up of a nation's devices, freshness."""
