"""Bus: the block log, request/reply and events on NATS."""
