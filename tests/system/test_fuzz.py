"""Each fuzzer for half a minute, all at once; the long form is ``python -m tests.fuzz.<name> --seconds 600``.

The seed is the same every time: a change is judged by what it breaks; new ground is for the long form.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
FUZZERS = ("mqtt", "sparkplug", "door", "http")
SECONDS = 30
SEED = 20_261_122


@pytest.fixture(scope="module")
def reports() -> dict[str, tuple[int, str]]:
    """Exit status and output of each."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"tests.fuzz.{name}", "--seconds", str(SECONDS), "--seed", str(SEED)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in FUZZERS
    }
    try:
        ended = {name: process.communicate(timeout=600)[0] for name, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    return {name: (running[name].returncode, output) for name, output in ended.items()}


@pytest.mark.parametrize("name", FUZZERS)
def test_fuzzer_finds_nothing(name: str, reports: dict[str, tuple[int, str]]) -> None:
    status, output = reports[name]
    assert status == 0, output[-6000:]
