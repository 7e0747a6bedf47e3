"""Registry: tenants, users, devices, assets, points and events as records."""
