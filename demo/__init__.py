"""The demo: a node, a live Tennessee Eastman plant and a recorded real machine. ``python -m demo`` starts all."""
