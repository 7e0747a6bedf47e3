"""Security headers of every answer."""

# Only the node's own files run; charts set style attributes in their tooltips, nothing else is inline.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Reading bar codes in pictures is WebAssembly.
        "script-src 'self' 'wasm-unsafe-eval'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
