"""Records of identifiers that have one of their own: their form in bytes, and the store of one shard."""
