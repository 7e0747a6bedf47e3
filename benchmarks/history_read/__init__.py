"""How long reads of the history take at the web API while points come in."""
