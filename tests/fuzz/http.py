"""The HTTP API of a running node under schemathesis: no 5xx, no stack trace, no growth, whatever is asked.

schemathesis reads the node's own OpenAPI document. What would end the fuzzing itself is left out: ending the session,
changing the password, and the endless stream.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.watched_node import WatchedNode

LEFT_OUT = ("/v1/stream", "/v1/session", "/v1/session:changePassword")


def fuzz(node: WatchedNode, folder: Path, seconds: float, seed: int) -> int:
    """Run schemathesis for some seconds; return its exit status."""
    command = [str(Path(sys.executable).parent / "st"), "--no-color", "fuzz", f"{node.node.url}/v1/openapi.json"]
    command += ["--url", node.node.url, "-H", f"Authorization: Bearer {node.node.token()}"]
    command += ["--checks", "not_a_server_error", "--max-time", str(max(1, round(seconds))), "--seed", str(seed)]
    command += ["--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    return subprocess.run(command, cwd=folder, check=False).returncode


def main() -> int:
    """Run; return 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gongfu-fuzz-") as folder, WatchedNode(Path(folder)) as node:
        node.devices("fuzz-a", "fuzz-b")
        first = fuzz(node, Path(folder), given.seconds / 3, given.seed)
        node.mark()
        second = fuzz(node, Path(folder), given.seconds * 2 / 3, given.seed + 1)
        node.check()
    return first or second


if __name__ == "__main__":
    sys.exit(main())
