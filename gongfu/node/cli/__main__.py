"""``python -m gongfu.node.cli``."""

from gongfu.node.cli import main

main()
