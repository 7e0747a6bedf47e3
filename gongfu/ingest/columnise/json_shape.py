"""JSON payloads of doubles with known names: decoded into typed fields, without a dictionary.

A device sends the same names again and again. For each such *shape* a type with one field a name is made; the decoder
then refuses everything else (another name, a missing one, text, booleans, null), which goes the way of ``snapshot``.
What it takes it reads as ``orjson`` does. Only integers beyond 2^53, which it rounds, must be looked for afterwards.
"""

from collections.abc import Callable
from typing import Any

import msgspec

# Making a type takes about 3 µs a name, and it stays in memory.
MAX_SHAPES = 1000
MAX_NAMES = 512


class JsonShape:
    """Names of one payload, all of type double.

    Attributes:
        count: number of names.
        timed: form B with ``ts`` and ``values``; else form A.
        decode: returns the document of a payload: the values, or an object with ``ts`` (int) and ``values``.
            Raises ``ValueError`` when it is another payload, or no JSON or UTF-8 at all.
    """

    __slots__ = ("count", "decode", "timed")

    def __init__(self, names: tuple[str, ...], timed: bool) -> None:
        """Make the types. Raises ``ValueError`` for names that cannot be a field."""
        self.count = len(names)
        self.timed = timed
        fields = [f"f{n}" for n in range(len(names))]
        values = msgspec.defstruct(
            "Values",
            [(field, float) for field in fields],
            rename=dict(zip(fields, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        document = values
        if timed:
            document = msgspec.defstruct(
                "Timed", [("ts", int), ("values", values)], forbid_unknown_fields=True, gc=False
            )
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(document).decode


_shapes: dict[tuple[tuple[str, ...], bool], JsonShape | None] = {}


def shape_of(names: tuple[str, ...], timed: bool) -> JsonShape | None:
    """Return the shape for names in this order, the same object every time, or None when there is to be none."""
    key = names, timed
    if key in _shapes:
        return _shapes[key]
    if len(names) > MAX_NAMES or len(_shapes) >= MAX_SHAPES:
        return None
    try:
        shape = JsonShape(names, timed)
    except (ValueError, TypeError):
        shape = None
    _shapes[key] = shape
    return shape
