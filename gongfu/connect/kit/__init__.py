"""What a driver is written with: types, manifest, sink, compression, and what runs one connection."""
