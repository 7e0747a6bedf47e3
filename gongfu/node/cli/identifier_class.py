"""``gongfu id class``."""

from gongfu.node.cli.identifier_range import classes as command

__all__ = ["command"]
