"""Recorded temperature of a real machine, replayed by an ordinary MQTT client."""
