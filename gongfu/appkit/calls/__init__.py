"""Calls across platforms: what a node offers to another, under a contract that both signed (docs/calls.md)."""
