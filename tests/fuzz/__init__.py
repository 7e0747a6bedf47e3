"""Fuzzers: ``python -m tests.fuzz.<mqtt|sparkplug|door|http> --seconds 600``; CI runs each for 30 s.

``mqtt`` and ``sparkplug`` are guided by coverage (atheris, libFuzzer): an exception that is not the codec's own,
an input that takes over 10 s, or memory over the limit ends them with a report and the input.
``door`` and ``http`` work on a running node: it must answer a well-behaved client all the time, keep its processes
and its memory, and log no stack trace.
"""
