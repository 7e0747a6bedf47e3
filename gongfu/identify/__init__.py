"""Identifiers (标识): names, records, and the protocols that resolve them. No node uses it yet (issue 5)."""
