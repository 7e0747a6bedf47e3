"""HTTP of the registry: one file per noun, each a function ``routes`` that returns its operations."""
