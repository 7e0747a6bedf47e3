"""kill -9 at the steps of an installation, an upgrade, a way back and a removal: one version, whole, and nothing else.

All steps, not some of them: ``GONGFU_EVERY_KILL=1``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APP = "com.example.pump"
SOME = 1 if os.environ.get("GONGFU_EVERY_KILL") else 3


def whole(version: str, previous: str = "", things: int = 1) -> dict[str, Any]:
    """Return all that there is of a version, everywhere."""
    major = version[:1]
    return {
        "status": "installed",
        "pending": False,
        "version": version,
        "previous": previous,
        "pages": version,
        "folders": 4 if previous else 2,
        "models": [f"pump.power{major} {version}"],
        "rules": [f"hot {major}"],
        "things": [f"test.pump@{n + 1}" for n in range(things)],
        "scopes": [f"pump.power{major}"],
        "runs": [APP],
    }


NONE = {
    "status": "", "pending": False, "version": "", "previous": "", "pages": "", "folders": 0,
    "models": [], "rules": [], "things": [], "scopes": [], "runs": [],
}  # fmt: skip
ONE, TWO = whole("1.0.0"), whole("2.0.0", "1.0.0", things=2)


@pytest.mark.parametrize(
    ("every", "operation", "before", "old", "new", "least"),
    [
        (SOME, "1.0.0", [], NONE, ONE, 13),
        (SOME, "2.0.0", ["1.0.0"], ONE, TWO, 15),
        (SOME, "rollback", ["1.0.0", "2.0.0"], TWO, ONE, 13),
        (SOME, "remove", ["1.0.0", "2.0.0"], TWO, NONE, 7),
    ],
    ids=["install", "upgrade", "rollback", "remove"],
)
def test_a_kill_leaves_one_version_whole(
    tmp_path: Path, every: int, operation: str, before: list[str], old: Any, new: Any, least: int
) -> None:
    program = [sys.executable, "-m", "tests.contract.appkit.kill_program", str(tmp_path / "cases"), str(every)]
    done = subprocess.run([*program, operation, *before], capture_output=True, text=True, timeout=300, check=False)
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) >= least // every, done.stderr[-2000:]
    assert not [one for one in found if "fault" in one]
    states = [{key: value for key, value in one.items() if key != "step"} for one in found]
    assert states[0] == old
    assert states[-1] == new
    # Up to some step it is undone, from there on it is finished.
    at = states.index(new)
    assert states == [old] * at + [new] * (len(states) - at)
