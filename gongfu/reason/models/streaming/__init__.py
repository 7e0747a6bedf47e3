"""Models on the stream: what the role ``models`` runs."""
