"""Benchmark of the rule engine and the twins."""
