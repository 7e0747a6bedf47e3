"""Admission: quotas, fair reading and pacing; who may send how much, and who waits (docs/overload.md)."""
