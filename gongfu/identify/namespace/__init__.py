"""The names a node answers for: prefixes, what is delegated below them, classes, records."""
