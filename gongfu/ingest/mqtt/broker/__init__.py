"""MQTT broker state: sessions, subscriptions, retained messages, wills. No sockets; time and the link are passed in."""
