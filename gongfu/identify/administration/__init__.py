"""Operations of the Handle protocol on the identifiers of a node: read, write, prove who asks (RFC 3652 §3)."""
