"""Benchmarks by area: ``python -m benchmarks.<area>`` measures, prints a table and writes its ``last.json``."""
