"""The MQTT API of ThingsBoard for devices and gateways, as its clients use it (thingsboard.io/docs, "MQTT Device API"
and "MQTT Gateway API"): what is not telemetry, answered by the front door."""
