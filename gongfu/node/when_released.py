"""``python -m gongfu.node.when_released PROGRAM ARGUMENT…``: becomes the program when the supervisor lets it.

Roles of ours wait in ``load_runtime``; for a program that is not ours this waits in its place, as the same process.
"""

import os
import sys

from gongfu.node.runtime import START_VARIABLE


def main() -> None:
    """Wait until the supervisor closes its end of the pipe, then run the program."""
    descriptor = os.environ.pop(START_VARIABLE, None)
    if descriptor is not None:
        while os.read(int(descriptor), 64):
            pass
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (the command is ours)


if __name__ == "__main__":
    main()
