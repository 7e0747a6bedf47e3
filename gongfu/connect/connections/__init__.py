"""Connections as people configure them: records, secrets, what may be asked of them, and the API."""
