"""MQTT 3.1.1 and 5 packets, bytes in and out, no I/O."""
