"""Form D of one shape, read as one flat JSON array: half the time of making an object for every child and item.

What stands between the names and numbers of such a message is the same for every child. Put commas there, and the rest
is an array ``["child", 1.5, "other child", 2.5]``, with times in it where they differ.
"""

import json
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import orjson

_NUMBERS = frozenset((int, float))
# The name of a child stands before this, and is no longer.
_HEAD_BYTES = 4200
_MAX_STAMP = 20
# What ends the name before a number, and what begins the name after one, in the array.
_NAME_END, _COMMA, _NAME_BEGIN = b'",', b",", b',"'


@dataclass(frozen=True, slots=True, eq=False)
class FlatMessage:
    """A message that was read: names of children joined by NUL, times in ms by child, values by child and name."""

    children: str
    times: list[int]
    values: list[int | float]


class _Style:
    """The text between names and numbers, with or without spaces."""

    __slots__ = ("after_time", "between", "head", "next_child", "tail", "time", "width")

    def __init__(self, names: list[str], comma: str, colon: str) -> None:
        quoted = [json.dumps(name, ensure_ascii=False) for name in names]
        self.head = b'{"'
        self.time = f'"{colon}[{{"ts"{colon}'.encode()
        self.after_time = f'{comma}"values"{colon}{{{quoted[0]}{colon}'.encode()
        self.between = [f"{comma}{name}{colon}".encode() for name in quoted[1:]]
        self.next_child = f'}}}}]{comma}"'.encode()
        self.tail = b"}}]}"
        self.width = len(names)

    def read(self, payload: bytes) -> FlatMessage | None:
        """Return what is in a payload that is written so, None for any other."""
        time, after = self.time, self.after_time
        begin = payload.find(time, 0, _HEAD_BYTES)
        if begin < 0 or not (payload.startswith(self.head) and payload.endswith(self.tail)) or b"\\" in payload:
            return None
        stamp = begin + len(time)
        end = payload.find(after, stamp, stamp + _MAX_STAMP + len(after))
        if end < 0:
            return None
        # Most messages have one time.
        text, children = _replaced(payload, payload[begin : end + len(after)], _NAME_END)
        several = time in text
        if several:
            text, children = _replaced(payload, time, _NAME_END)
            text, found = _replaced(text, after, _COMMA)
            if found != children:
                return None
        for name in self.between:
            text, found = _replaced(text, name, _COMMA)
            if found != children:
                return None
        text, found = _replaced(text, self.next_child, _NAME_BEGIN)
        if found != children - 1:
            return None
        return self._split(b"[" + text[1 : -len(self.tail)] + b"]", children, None if several else payload[stamp:end])

    def _split(self, text: bytes, children: int, stamp: bytes | None) -> FlatMessage | None:
        """Return the parts of an array; ``stamp`` is the time where it is not in there."""
        try:
            items: list[Any] = orjson.loads(text)
            step = self.width + (2 if stamp is None else 1)
            if len(items) != children * step:
                return None
            names = "\0".join(items[::step])
            del items[::step]
            if stamp is None:
                times = items[:: step - 1]
                del items[:: step - 1]
                if set(map(type, times)) != {int}:
                    return None
            else:
                times = list(repeat(_time_of(stamp), children))
        except (ValueError, TypeError):
            return None
        return FlatMessage(names, times, items) if _NUMBERS.issuperset(map(type, items)) else None


def _time_of(stamp: bytes) -> int:
    if not stamp.isdigit() or stamp[0] == 0x30:
        raise ValueError("no time")
    return int(stamp)


def _replaced(text: bytes, what: bytes, by: bytes) -> tuple[bytes, int]:
    """Return the text with every ``what`` replaced, and how many there were; ``by`` is shorter."""
    made = text.replace(what, by)
    return made, (len(text) - len(made)) // (len(what) - len(by))


class FlatReader:
    """Reads messages in which every child comes once, with the same names."""

    __slots__ = ("_others", "_style")

    def __init__(self, names: list[str]) -> None:
        self._style = _Style(names, ",", ":")
        self._others = [_Style(names, ", ", ": ")]

    def read(self, payload: bytes) -> FlatMessage | None:
        """Return what is in a message, None when it is written in another way, or may be another message."""
        found = self._style.read(payload)
        if found is None:
            for style in self._others:
                found = style.read(payload)
                if found is not None:
                    # Fleets are alike: the next is expected to be written so too.
                    self._others[:] = [self._style, *(other for other in self._others if other is not style)]
                    self._style = style
                    break
        return found
