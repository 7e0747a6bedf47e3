"""Calls between nodes of different branches, only under a contract of their nearest common ancestor."""
