"""Prints what sessions cost, and how an order goes through a tree of 9,642 nodes: clean, and with 5 % loss."""

import sys

from simulator.cost import message_cost, session_memory
from simulator.fanout import measure
from simulator.network import Way
from simulator.simulation import MILLISECOND

FAN_OUTS = (31, 10, 30)


def main() -> None:
    """Measure and print."""
    write = sys.stdout.write
    for together in (1, 10, 100):
        cost = message_cost(100_000, 300, together)
        write(f"{together} messages of 300 bytes at a time: {cost:.1f} us CPU a message, both ends with codec\n")
    write(f"{session_memory(10_000)} bytes a session at rest (10,000 sessions)\n")
    for loss in (0.0, 0.05):
        way = Way(latency=4 * MILLISECOND, jitter=2 * MILLISECOND, loss=loss)
        result = measure(FAN_OUTS, way)
        write(
            f"{result.nodes} nodes, loss {loss:.0%}: receipts p50 {result.median:.3f} s, p99 {result.p99:.3f} s, "
            f"last {result.last:.3f} s virtual; CPU {result.cpu:.2f} s (to connect {result.connect_cpu:.2f} s), "
            f"{result.frames} frames, {result.resent} resent\n"
        )


if __name__ == "__main__":
    main()
