"""Durable part of the broker: one SQLite file in WAL mode, written by one thread with group commit."""
