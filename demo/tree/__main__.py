"""``python -m demo.tree``: a tree of seven nodes on this machine. Kill what you like; Ctrl-C stops all.

Nation, province, two enterprises and three sites, each a whole node with its own data directory and ports, joined by
one-time tokens. The sites have live machines. Starting it again takes up where it was.
"""

import argparse
import signal
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from demo.api import ApiError
from demo.node import NodeError
from demo.processes import DeviceProcess
from demo.tree.layout import MEMBERS, depth
from demo.tree.nodes import NodeTree, apart
from demo.tree.sites import MachinesProcess, is_site, provision_site, start_plant


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; return the exit status."""
    options = _options(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    tree = NodeTree(options.data_dir.absolute(), first_port=apart() if options.apart else 0)
    running: list[DeviceProcess | MachinesProcess] = []
    began = time.monotonic()
    print(f"Starting {len(MEMBERS)} nodes ...", flush=True)
    try:
        tree.start()
        sites = [node for node in tree.nodes.values() if is_site(node.member)]
        with ThreadPoolExecutor(len(sites)) as pool:
            machines = [machine for some in pool.map(provision_site, sites) for machine in some]
        running.append(MachinesProcess(machines, tree.root / "machines.log"))
        running += [start_plant(node) for node in sites if node.member.plant]
        print(_welcome(tree, time.monotonic() - began), flush=True)
        _watch(tree, stop)
        return 0
    except (NodeError, ApiError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        for process in running:
            process.stop()
        tree.stop()
        print("The tree has stopped.", flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.tree", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".demo-tree"), help="of all nodes (default: .demo-tree)")
    parser.add_argument(
        "--apart", action="store_true", help="other ports than the usual ones, for several trees at once"
    )
    return parser.parse_args(arguments)


def _welcome(tree: NodeTree, seconds: float) -> str:
    lines = ["", f"The tree runs ({seconds:.0f} s). Open the nation's console:"]
    nation = tree["nation"]
    lines.append(f"  console  {nation.process.url}")
    lines.append(f"  {nation.sign_in() or 'sign in  admin, with the password you chose at the first start'}")
    lines += ["", "  all nodes, their consoles, and the process to kill:"]
    for node in tree.nodes.values():
        name = "  " * depth(node.member) + node.member.title
        lines.append(f"    {name}{' ' * (36 - _columns(name))} {node.process.url}  kill {node.process.pid}")
    lines += [
        "",
        "  A node that was stopped is started again by hand, in the directory of the repository:",
        *(f"    {node.command()}" for node in tree.nodes.values()),
        "",
        f"  data     {tree.root}   (delete it to start afresh)",
        "  Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)


def _columns(text: str) -> int:
    """Return how wide a terminal shows a text: Chinese characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _watch(tree: NodeTree, stop: threading.Event) -> None:
    """Wait for the end; say it once when a node has ended, and how it is started again."""
    told: set[str] = set()
    while not stop.wait(0.5):
        for key, node in tree.nodes.items():
            if not node.process.running() and key not in told:
                told.add(key)
                print(f"{node.member.title} has ended. Start it again with\n  {node.command()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
