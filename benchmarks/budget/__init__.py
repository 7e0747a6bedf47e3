"""Budget: CPU a point by process and stage, from a real run under load, and flame graphs of it."""
