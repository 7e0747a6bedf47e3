"""Durations and sizes as people write them in the configuration."""

import re

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_BYTES = {
    **{"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4},
    **{"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4},
}


def parse_seconds(value: object) -> float:
    """Return seconds of ``"90s"``, ``"15m"``, ``"24h"``, ``"7d"`` or of a number of seconds.

    Raises:
        ValueError: not such a duration, or not above 0.
    """
    return _parse(value, _SECONDS, "s", "a duration such as 90s, 15m, 24h or 7d")


def parse_bytes(value: object) -> int:
    """Return bytes of ``"10GB"``, ``"512MiB"`` or of a number of bytes.

    Raises:
        ValueError: not such a size, or not above 0.
    """
    return int(_parse(value, _BYTES, "B", "a size such as 500MB, 10GB or 1TiB"))


def format_bytes(n: float) -> str:
    """Return a size for people, with decimal prefixes and three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n) < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _parse(value: object, units: dict[str, int], default_unit: str, expected: str) -> float:
    text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    match = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) else None
    factor = units.get(match[2] or default_unit) if match else None
    if match is None or factor is None or float(match[1]) <= 0:
        raise ValueError(f"must be {expected}, not {value!r}")
    return float(match[1]) * factor
