"""Messages of one shape read as a flat array: the same as ``json`` gives, or nothing."""

import json
import random
from typing import Any

import pytest

from gongfu.ingest.columnise.gateway_text import FlatMessage, FlatReader

NAMES = ["temperature", "压力 bar", "p,q"]
STYLES = {"compact": (",", ":"), "spaces": (", ", ": ")}


def document(random_: random.Random, names: list[str], *, one_time: bool) -> dict[str, Any]:
    """Return a message of one to six children whose names have everything that stands between names and numbers."""
    at = 1_764_000_000_000
    children = random_.sample(["m1", "仪表", "a/b", 'x,":[{', "}}],", "1.5", " "], random_.randint(1, 6))
    return {
        child: [
            {
                "ts": at if one_time else at + random_.randint(0, 10**6),
                "values": {name: random_.choice([0, -3, 1.5, -2e300, 7e-12, 2**60]) for name in names},
            }
        ]
        for child in children
    }


def as_flat(payload: bytes, names: list[str]) -> tuple[str, list[Any], list[Any]]:
    """Return what the reader should give, or raise ``ValueError``."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("a name twice")
        return dict(items)

    def refuse(text: str) -> None:
        raise ValueError(text)

    message = json.loads(payload, object_pairs_hook=pairs, parse_constant=refuse)
    times: list[Any] = []
    values: list[Any] = []
    for (item,) in message.values():
        assert list(item) == ["ts", "values"]
        assert list(item["values"]) == names
        assert type(item["ts"]) is int
        assert {type(value) for value in item["values"].values()} <= {int, float}
        times.append(item["ts"])
        values += map(float, item["values"].values())
    return "\0".join(message), times, values


def flat(found: FlatMessage) -> tuple[str, list[Any], list[Any]]:
    return found.children, found.times, [float(value) for value in found.values]


@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_it_reads_what_json_reads(style: str, width: int, *, one_time: bool) -> None:
    random_, names, read = random.Random(20261123), NAMES[:width], 0
    reader = FlatReader(names)
    for _ in range(200):
        payload = json.dumps(
            document(random_, names, one_time=one_time), ensure_ascii=False, separators=STYLES[style]
        ).encode()
        found = reader.read(payload)
        if found is not None:
            assert flat(found) == as_flat(payload, names)
            read += 1
        else:
            assert b"\\" in payload or b'"}}],"' in payload, payload
    assert read > 30


@pytest.mark.parametrize("one_time", [True, False])
def test_a_damaged_message_is_read_as_json_reads_it_or_not_at_all(*, one_time: bool) -> None:
    random_, names = random.Random(20261124), NAMES[:2]
    reader, read = FlatReader(names), 0
    alphabet = b'{}[]",:0123456789.-+eE ts\\\x00\xff'
    for _ in range(20_000):
        payload = bytearray(
            json.dumps(
                document(random_, names, one_time=one_time), ensure_ascii=False, separators=STYLES["compact"]
            ).encode()
        )
        for _ in range(random_.randint(1, 2)):
            at = random_.randrange(len(payload))
            change = random_.choice(alphabet)
            match random_.randrange(3):
                case 0:
                    payload[at] = change
                case 1:
                    payload.insert(at, change)
                case _:
                    del payload[at]
        found = reader.read(bytes(payload))
        if found is not None and len(set(names_of := found.children.split("\0"))) == len(names_of):
            # A child that comes twice has no route: its message is read in another way.
            assert flat(found) == as_flat(bytes(payload), names), bytes(payload)
            read += 1
    assert read > 300


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"a":[{"ts":1,"values":{"p":true}}]}',
        b'{"a":[{"ts":1,"values":{"p":null}}]}',
        b'{"a":[{"ts":1,"values":{"p":"1"}}]}',
        b'{"a":[{"ts":1,"values":{"p":[1]}}]}',
        b'{"a":[{"ts":1.5,"values":{"p":1}}]}',
        b'{"a":[{"ts":01,"values":{"p":1}}]}',
        b'{"a":[{"ts":-1,"values":{"p":1}}]}',
        b'{"a":[{"ts":true,"values":{"p":1}},{"ts":2,"values":{"p":1}}]}',
        b'{"a":[{"ts":1,"values":{"p":1}}],"b":[{"ts":2.5,"values":{"p":1}}]}',
        b'{"a":[{"ts":1,"values":{"p":1}}],"b":[{"ts":true,"values":{"p":1}}]}',
        b'{"a":[{"ts":1,"values":{"p":1,"q":2}}]}',
        b'{"a":[{"ts":1,"values":{"q":1}}]}',
        b'{"a":[{"ts":1,"values":{"p":1},"quality":5}]}',
        b'{"a":[{"ts":1,"values":{"p":1}}]} ',
        b'{"a",1,1}}],"b":[{"ts":1,"values":{"p":1}}]}',
        b'{"a":[{"ts":1,"values":{"p":NaN}}]}',
        b'{"\xff":[{"ts":1,"values":{"p":1}}]}',
    ],
)
def test_everything_else_is_left_to_others(payload: bytes) -> None:
    assert FlatReader(["p"]).read(payload) is None
