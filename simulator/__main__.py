"""Prints how an order goes through a tree of 9,642 nodes: clean, and with 5 % of the frames lost."""

import sys

from simulator.fanout import measure
from simulator.network import Way
from simulator.simulation import MILLISECOND

FAN_OUTS = (31, 10, 30)


def main() -> None:
    """Measure and print."""
    for loss in (0.0, 0.05):
        way = Way(latency=4 * MILLISECOND, jitter=2 * MILLISECOND, loss=loss)
        result = measure(FAN_OUTS, way)
        sys.stdout.write(
            f"{result.nodes} nodes, loss {loss:.0%}: receipts p50 {result.median:.3f} s, p99 {result.p99:.3f} s, "
            f"last {result.last:.3f} s virtual; CPU {result.cpu:.2f} s (to connect {result.connect_cpu:.2f} s), "
            f"{result.frames} frames, {result.resent} resent\n"
        )


if __name__ == "__main__":
    main()
