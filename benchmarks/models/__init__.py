"""Benchmarks of issue 7: models, rules and the reference apps."""
