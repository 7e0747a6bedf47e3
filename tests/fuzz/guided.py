"""One way to run a coverage-guided fuzzer for a number of seconds."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

# One input may take this long; all of them together this much memory.
INPUT_S, MEMORY_MB = 10, 1500


def seconds_asked_for(description: str) -> int:
    """Return ``--seconds`` of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=30)
    return parser.parse_args().seconds


def run(target: Callable[[bytes], None], corpus: Iterable[bytes], seconds: int) -> None:
    """Run for a time and leave the process: 0 when nothing was found.

    Args:
        target: called with inputs; raises when something is wrong.
        corpus: inputs to begin with.
        seconds: how long.
    """
    import atheris

    with tempfile.TemporaryDirectory(prefix="gongfu-fuzz-") as folder:
        for number, data in enumerate(corpus):
            (Path(folder) / f"{number:04d}").write_bytes(data)
        options = [f"-max_total_time={seconds}", f"-timeout={INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", "-max_len=4096"]
        atheris.Setup([sys.argv[0], folder, *options, "-print_final_stats=1", "-verbosity=1"], target)
        atheris.Fuzz()
