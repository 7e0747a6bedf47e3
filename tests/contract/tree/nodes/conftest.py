"""Fixtures of the tests of nodes."""

from tests.fixtures.enrolled_tree import enrolled

__all__ = ["enrolled"]
