"""Size and speed of the identifier service, beside a DNS server and a web server on the same machine."""
