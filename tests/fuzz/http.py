"""The HTTP API of a running node under schemathesis: no 5xx, no stack trace, no growth, whatever is asked.

schemathesis reads the node's own OpenAPI document. What would end the fuzzing itself is left out: ending the session,
changing the password, and the endless stream. Paths are taken a few at a time, in random order: before its first
request schemathesis makes an example for every operation it has, and for all of them that takes minutes.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.fuzz.watched_node import WatchedNode

LEFT_OUT = ("/v1/stream", "/v1/session", "/v1/session:changePassword")
PATHS_AT_ONCE = 6
# All paths have their turn in ten minutes.
TURN_S = 15.0
# A machine full of other work is given more time to send a request a second; then the run says that it says nothing.
MOST_TIMES_LONGER = 6


@dataclass(slots=True)
class Outcome:
    """What was asked: requests, operations that were asked of those selected, and the worst exit status."""

    requests: int = 0
    asked: int = 0
    selected: int = 0
    status: int = 0


def random_paths(document: dict[str, dict[str, object]], seed: int) -> Iterator[list[str]]:
    """Yield some paths at a time, for ever; each comes once before any comes again."""
    order = random.Random(seed)
    paths = sorted(path for path in document["paths"] if path not in LEFT_OUT)
    while True:
        order.shuffle(paths)
        for at in range(0, len(paths), PATHS_AT_ONCE):
            yield paths[at : at + PATHS_AT_ONCE]


def fuzz(
    node: WatchedNode, folder: Path, document: dict[str, dict[str, object]], paths: list[str], seconds: float, seed: int
) -> Outcome:
    """Run schemathesis on these paths for some seconds; what it finds is printed."""
    part = folder / "openapi.json"
    part.write_text(json.dumps({**document, "paths": {path: document["paths"][path] for path in paths}}))
    command = [str(Path(sys.executable).parent / "st"), "--no-color", "fuzz", str(part)]
    command += ["--url", node.node.url, "-H", f"Authorization: Bearer {node.node.token()}"]
    command += ["--checks", "not_a_server_error", "--max-time", str(round(seconds)), "--seed", str(seed)]
    command += ["--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(paths)}\n{done.stdout}\n{done.stderr}", flush=True)
    return Outcome(
        _number(r"(\d+) generated", done.stdout),
        _number(r"Tested: (\d+)", done.stdout),
        _number(r"Selected: (\d+)", done.stdout),
        done.returncode,
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def run(node: WatchedNode, folder: Path, seconds: float, seed: int) -> Outcome:
    """Fuzz one group of paths after the other; memory is compared with that after a third of the time."""
    document = json.loads(httpx.get(f"{node.node.url}/v1/openapi.json").content)
    whole = Outcome()
    begin, marked = time.monotonic(), False
    for number, paths in enumerate(random_paths(document, seed)):
        past = time.monotonic() - begin
        if not marked and past >= seconds / 3:
            node.mark()
            marked = True
        if past >= seconds and (whole.requests >= seconds or past >= MOST_TIMES_LONGER * seconds):
            break
        part = fuzz(node, folder, document, paths, TURN_S, seed + number)
        whole.requests += part.requests
        whole.asked += part.asked
        whole.selected += part.selected
        whole.status = whole.status or part.status
    node.check()
    return whole


def main() -> int:
    """Run; return 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gongfu-fuzz-") as folder, WatchedNode(Path(folder)) as node:
        node.devices("fuzz-a", "fuzz-b")
        outcome = run(node, Path(folder), given.seconds, given.seed)
    print(outcome, flush=True)
    if outcome.requests < given.seconds:
        print("less than a request a second: this run says nothing", flush=True)
        return 1
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
