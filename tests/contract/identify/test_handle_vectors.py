"""Every operation, byte for byte: requests and answers made of the field lists of RFC 3652, without our codec.

The server draws the same "random" bytes each time, and its clock stands.
"""

import asyncio
import hashlib
import hmac
import itertools
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest_asyncio

from gongfu.identify.administration.handle_service import one_server_site
from tests.fixtures.handle_service import SECRET, handle_node

WAIT_S = 60
NOW = 1_700_000_000
KEEP, DIGEST, OVERWRITE, PUBLIC = 0x0200_0000, 0x0080_0000, 0x0040_0000, 0x0100_0000
RESOLVE, SITE, CREATE, DELETE, ADD, REMOVE, MODIFY, LIST, ANSWER = 1, 2, 100, 101, 102, 103, 104, 105, 200
PREFIX, OWNER, PUMP = "99.1000.1", "99.1000.1/ADMIN", "99.1000.1/泵"
SITE_SERIAL = 7


def four(number: int) -> bytes:
    return struct.pack(">I", number)


def text(data: str | bytes) -> bytes:
    raw = data if isinstance(data, bytes) else data.encode()
    return four(len(raw)) + raw


def many(*items: bytes) -> bytes:
    return four(len(items)) + b"".join(items)


def value(index: int, kind: str, data: bytes, permissions: int = 0b1110, timestamp: int = NOW) -> bytes:
    # Index, time stamp, TTL type, TTL, permissions, type, data, references.
    head = struct.pack(">IIBIB", index, timestamp, 0, 86_400, permissions)
    return head + text(kind) + text(data) + many()


def administrator(rights: int = 0xFFF) -> bytes:
    return struct.pack(">H", rights) + text(OWNER) + four(300)


def signed(operation: int, body: bytes, *, code: int = 0, flags: int = KEEP, serial: int = 0xFFFF) -> bytes:
    # Operation, response, flags, site's serial, recursions, reserved, expiry, length of the body.
    return struct.pack(">IIIHBBII", operation, code, flags, serial, 0, 0, 0, len(body)) + body


def packet(message: bytes, *, session: int = 0, request: int) -> bytes:
    # Version, flags, session, request, sequence, length; the message; an empty credential.
    message += four(0)
    return struct.pack(">BBHIIII", 2, 1, 0, session, request, 0, len(message)) + message


class Wire:
    """One connection to a server whose random bytes are 1, 1, 1, 1, then 2, 2, …"""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._requests = itertools.count(1)
        self._drawn = itertools.count(1)

    async def says(self, sent: bytes, answer: bytes, *, session: int = 0) -> None:
        """A message is answered so, to the byte."""
        request = next(self._requests)
        self._writer.write(packet(sent, session=session, request=request))
        expected = packet(answer, session=session, request=request)
        await self._reads(expected)

    async def _reads(self, expected: bytes) -> None:
        async with asyncio.timeout(WAIT_S):
            read = await self._reader.readexactly(20)
            read += await self._reader.readexactly(int.from_bytes(read[16:], "big"))
        assert read.hex(" ") == expected.hex(" ")

    async def proved(self, sent: bytes, answer: bytes) -> None:
        """A message is challenged, and answered so once it was proved who asks."""
        (operation,) = struct.unpack(">I", sent[:4])
        session = next(self._drawn) * 0x01010101
        nonce = bytes([next(self._drawn)]) * 20
        digest = hashlib.sha256(sent).digest()
        request = next(self._requests)
        self._writer.write(packet(sent, request=request))
        body = b"\x03" + digest + text(nonce)
        challenge = signed(operation, body, code=402, flags=KEEP | DIGEST, serial=SITE_SERIAL)
        await self._reads(packet(challenge, session=session, request=request))
        proof = b"\x13" + hmac.new(SECRET, nonce + digest, "sha256").digest()
        body = text("HS_SECKEY") + text(OWNER) + four(300) + text(proof)
        await self.says(signed(ANSWER, body), answer, session=session)

    def close(self) -> None:
        self._writer.close()


@pytest_asyncio.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    numbers: Iterator[int] = itertools.count(1)
    site = one_server_site(SITE_SERIAL, "127.0.0.1", handle_port=2641, public_key=b"key", description="a site")
    options = {"site": lambda: site, "clock": lambda: 0.0, "draw": lambda size: bytes([next(numbers)]) * size}
    async with handle_node(tmp_path, now=lambda: NOW, **options) as node:
        opened = Wire(*await asyncio.open_connection("127.0.0.1", node.port))
        yield opened
        opened.close()


def done(operation: int, body: bytes = b"", *, code: int = 1, flags: int = KEEP) -> bytes:
    return signed(operation, body, code=code, flags=flags, serial=SITE_SERIAL)


def wish(handle: str, *indexes: int, types: tuple[str, ...] = ()) -> bytes:
    return text(handle) + many(*map(four, indexes)) + many(*map(text, types))


async def test_site_information(wire: Wire) -> None:
    interfaces = many(b"\x02\x00" + four(2641), b"\x03\x01" + four(2641))
    server = four(1) + bytes(12) + bytes([127, 0, 0, 1]) + text("key") + interfaces
    # Format, version of the protocol, serial, primary, hash option, hash filter, attributes, servers.
    site = b"\0\1\2\1" + b"\0\7" + b"\x80\2" + text("") + many(text("desc") + text("a site")) + many(server)
    await wire.says(signed(SITE, b""), done(SITE, site))
    late = signed(RESOLVE, wish(OWNER), serial=SITE_SERIAL - 1)
    await wire.says(late, done(RESOLVE, text("the site's information is of version 7"), code=300))


async def test_create_resolve_change_delete(wire: Wire) -> None:
    url, price = value(1, "URL", b"https://a", timestamp=0), value(2, "PRICE", b"7", 0b1100, timestamp=0)
    create = signed(CREATE, text(PUMP) + many(url, price))
    await wire.proved(create, done(CREATE))
    await wire.proved(create, done(CREATE, text("already-exists"), code=101))
    now_url, now_price = value(1, "URL", b"https://a"), value(2, "PRICE", b"7", 0b1100)
    for _ in range(2):
        # The second one is a kept answer.
        await wire.says(signed(RESOLVE, wish(PUMP)), done(RESOLVE, text(PUMP) + many(now_url)))
    await wire.says(signed(RESOLVE, wish(PUMP, types=("url",))), done(RESOLVE, text(PUMP) + many(now_url)))
    hidden = signed(RESOLVE, wish(PUMP, 2, 1))
    await wire.proved(hidden, done(RESOLVE, text(PUMP) + many(now_url, now_price)))
    public = signed(RESOLVE, wish(PUMP, 2), flags=KEEP | PUBLIC)
    words = text(f"no such values of {PUMP}")
    await wire.says(public, done(RESOLVE, words, code=200, flags=KEEP | PUBLIC))

    note = value(3, "NOTE", b"\xff", timestamp=0)
    await wire.proved(signed(ADD, text(PUMP) + many(note)), done(ADD))
    await wire.proved(signed(ADD, text(PUMP) + many(note)), done(ADD, text("index 3"), code=201))
    new = value(1, "URL", b"https://b", timestamp=0)
    await wire.proved(signed(MODIFY, text(PUMP) + many(new)), done(MODIFY))
    shown = many(value(1, "URL", b"https://b"), value(3, "NOTE", b"\xff"))
    await wire.says(signed(RESOLVE, wish(PUMP)), done(RESOLVE, text(PUMP) + shown))
    await wire.proved(signed(REMOVE, text(PUMP) + many(four(3))), done(REMOVE))
    # What is not there needs no proof.
    await wire.says(signed(REMOVE, text(PUMP) + many(four(3))), done(REMOVE, text("index 3"), code=200))
    replace = signed(CREATE, text(PUMP) + many(note), flags=KEEP | OVERWRITE)
    await wire.proved(replace, done(CREATE))
    only = many(value(3, "NOTE", b"\xff"))
    await wire.says(signed(RESOLVE, wish(PUMP)), done(RESOLVE, text(PUMP) + only))
    await wire.proved(signed(LIST, text(f"0.NA/{PREFIX}")), done(LIST, many(text(OWNER), text(PUMP))))
    await wire.proved(signed(DELETE, text(PUMP)), done(DELETE))
    await wire.says(signed(RESOLVE, wish(PUMP)), done(RESOLVE, text(f"no handle {PUMP}"), code=100))


async def test_the_digest_of_a_request_stands_before_an_answer(wire: Wire) -> None:
    ask = signed(RESOLVE, wish(f"0.NA/{PREFIX}", 100), flags=KEEP | DIGEST)
    shown = text(f"0.NA/{PREFIX}") + many(value(100, "HS_ADMIN", administrator()))
    body = b"\x03" + hashlib.sha256(ask).digest() + shown
    await wire.says(ask, done(RESOLVE, body, flags=KEEP | DIGEST))


async def test_errors(wire: Wire) -> None:
    await wire.says(
        signed(RESOLVE, wish("nohandle")), done(RESOLVE, text("value: a handle is prefix/suffix"), code=102)
    )
    await wire.says(signed(300, b""), done(300, text("operation 300 is not served here"), code=5))
    await wire.says(signed(400, b""), done(400, text("no sessions here"), code=503))
    await wire.says(signed(9999, b""), done(9999, text("operation 9999 is not served here"), code=4))
    await wire.says(signed(CREATE, b"\0"), done(CREATE, text("short: 4 bytes wanted at 0, 1 there"), code=4))
    words = text("no challenge waits for this answer: it was answered, or its time is over")
    answer = text("HS_SECKEY") + text(OWNER) + four(300) + text("")
    await wire.says(signed(ANSWER, answer), done(ANSWER, words, code=405), session=5)
