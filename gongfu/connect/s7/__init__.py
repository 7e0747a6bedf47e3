"""Siemens S7 (classic S7 communication over ISO on TCP)."""
