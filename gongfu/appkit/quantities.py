"""Durations and sizes as people write them in manifests and decorators: ``10s``, ``1.5 h``, ``256 MiB``."""

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)", re.ASCII)
_NANOSECONDS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_duration(text: str) -> int:
    """Return nanoseconds of a duration such as ``500ms``, ``10s``, ``5 min``, ``1.5h``, ``30d``.

    Raises:
        ValueError: it is no such text, or longer than 100 years; the message says what to write.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write a number and ms, s, min, h or d, such as '10s'")
    nanoseconds = round(float(match[1]) * _NANOSECONDS[match[2]])
    if not 0 <= nanoseconds <= 36_525 * _NANOSECONDS["d"]:
        raise ValueError(f"{text!r} is longer than 100 years")
    return nanoseconds


def parse_size(text: str) -> int:
    """Return bytes of a size such as ``256 MiB`` or ``1.5 GB``.

    Raises:
        ValueError: it is no such text; the message says what to write.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a size; write a number and B, KiB, MiB, GiB, kB, MB or GB, such as '256 MiB'"
        )
    return round(float(match[1]) * _BYTES[match[2]])
