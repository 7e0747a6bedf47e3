"""One way to run a coverage-guided fuzzer for a number of seconds."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

# One input may take this long; all of them together this much memory.
INPUT_S, MEMORY_MB = 10, 1500


def run(target: Callable[[bytes], None], corpus: Iterable[bytes], description: str) -> None:
    """Run for ``--seconds`` of the command line and leave the process: 0 when nothing was found.

    Args:
        target: called with inputs; raises when something is wrong.
        corpus: inputs to begin with.
        description: what ``--help`` says.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="0 is another one every time")
    given = parser.parse_args()
    import atheris

    with tempfile.TemporaryDirectory(prefix="gongfu-fuzz-") as folder:
        for number, data in enumerate(corpus):
            (Path(folder) / f"{number:04d}").write_bytes(data)
        options = [
            f"-max_total_time={given.seconds}",
            f"-seed={given.seed}",
            f"-timeout={INPUT_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            "-max_len=4096",
        ]
        atheris.Setup([sys.argv[0], folder, *options, "-print_final_stats=1", "-verbosity=1"], target)
        atheris.Fuzz()
