"""MQTT server: connections over TCP, TLS and WebSocket on the broker and the intake."""
