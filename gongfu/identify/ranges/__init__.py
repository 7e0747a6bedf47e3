"""Range registration (号段注册): many identifiers by one entry, counted exactly, each of which resolves. Pure."""
