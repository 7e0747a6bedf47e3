"""Who asks, and what they may: keys of handles, challenges, Basic authentication, permissions (RFC 3651, RFC 3652)."""
