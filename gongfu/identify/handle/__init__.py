"""The Handle protocol (RFC 3650, 3651, 3652), version 2: messages as values and bytes. Pure; no sockets."""
