"""Many identifiers from a file: read, checked and encoded in columns, taken by the store as sorted files."""
