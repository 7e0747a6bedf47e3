"""The running of a node's place in the tree: links over NATS, transactions, the conversations of its sections."""
