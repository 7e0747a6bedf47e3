"""Functional Mock-up Units, FMI 2.0 and 3.0 (https://fmi-standard.org), on FMPy: read, call, step, integrate."""
