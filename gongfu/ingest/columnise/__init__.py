"""Columnise: telemetry payloads to column blocks in the block log."""
