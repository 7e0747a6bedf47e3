"""Traceability: EPCIS 2.0 events captured, validated, stored, queried, subscribed to, and traced."""
