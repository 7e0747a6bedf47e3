"""Simulator: thousands of logical nodes in one process, in virtual time, with every fault that a link may have.

For tests and benchmarks; ``gongfu`` never imports it. The same seed gives the same run.
"""
