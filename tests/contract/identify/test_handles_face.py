"""``/api/handles`` and the reverse lookup by HTTP, and the same handles by the Handle protocol."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
import pytest_asyncio

from gongfu.identify.administration.client import ask_as, with_secret
from gongfu.identify.digital_link.face import DigitalLinkFace
from gongfu.identify.handle.bodies import Record, Resolution, decode_record, encode_record, encode_resolution
from gongfu.identify.handle.codes import OpCode, Permission, ResponseCode
from gongfu.identify.handle.envelope import (
    ENVELOPE_BYTES,
    Envelope,
    Header,
    Message,
    decode_envelope,
    decode_message,
    encode_envelope,
    encode_message,
)
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.http.reverse_lookup import matches
from gongfu.identify.http.tunnel import BODY_BYTES, MEDIA_TYPE, TunnelFace
from tests.fixtures.handle_service import OWNER, SECRET, HandleNode, administrator, handle_node
from tests.fixtures.identifiers import PREFIX

PRIVATE = Permission.ADMIN_READ | Permission.ADMIN_WRITE
HANDLES = [
    f"{PREFIX}/plain",
    f"{PREFIX}/工 厂/泵 #1?",
    f"{PREFIX}/%2F",
    f"{PREFIX}/a//b/",
    f"{PREFIX}/a+b&c=d;e",
    f"{PREFIX}/..",
    f"{PREFIX}/𠮷 e\u0301 é ﬁ",
    f"{PREFIX}/" + "长" * 650,
]


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[HandleNode]:
    async with handle_node(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def http(node: HandleNode) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", trust_env=False, timeout=60) as client:
        yield client


OWN = (quote(f"300:{OWNER}", safe=""), SECRET)


def path(handle: str, query: str = "") -> str:
    return f"/api/handles/{quote(handle, safe='')}" + (f"?{query}" if query else "")


def value(index: int, kind: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"index": index, "type": kind, "data": {"format": "string", "value": text}, **fields}


async def put(http: httpx.AsyncClient, handle: str, *values: Any, query: str = "", auth: Any = OWN) -> httpx.Response:
    return await http.put(path(handle, query), json={"values": values}, auth=auth)


def code(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["responseCode"]


def data(response: httpx.Response) -> dict[int, Any]:
    assert code(response) == (200, 1), response.text
    return {item["index"]: item["data"]["value"] for item in response.json()["values"]}


async def by_handle_protocol(node: HandleNode, handle: str) -> dict[int, bytes]:
    said = await node.udp(Message(Header(OpCode.RESOLUTION), encode_resolution(Resolution(handle))))
    assert said.header.response == ResponseCode.SUCCESS
    return {item.index: item.data for item in decode_record(said.body).values}


@pytest.mark.parametrize("handle", HANDLES, ids=range(len(HANDLES)))
async def test_names_survive_both_faces(node: HandleNode, http: httpx.AsyncClient, handle: str) -> None:
    text = "值 %2F 𠮷"
    assert code(await put(http, handle, value(1, "名称", text))) == (201, 1)
    shown = await http.get(path(handle))
    assert shown.json()["handle"] == handle
    assert data(shown) == {1: text}
    assert await by_handle_protocol(node, handle) == {1: text.encode()}
    assert code(await http.delete(path(handle), auth=OWN)) == (200, 1)
    assert code(await http.get(path(handle))) == (404, 100)


async def test_case_of_names(http: httpx.AsyncClient, node: HandleNode) -> None:
    await node.node.add_prefix("99.abc", administrator())
    assert code(await put(http, "99.ABC/Pump", value(1, "URL", "a"))) == (201, 1)
    shown = await http.get(path("99.aBc/Pump"))
    assert (shown.json()["handle"], data(shown)) == ("99.aBc/Pump", {1: "a"})
    assert code(await http.get(path("99.abc/pump"))) == (404, 100)
    assert data(await http.get(path("0.na/99.Abc"))) == data(await http.get(path("0.NA/99.ABC")))
    # Slashes need not be encoded.
    assert data(await http.get("/api/handles/99.abc/Pump")) == {1: "a"}


async def test_the_life_of_a_handle(http: httpx.AsyncClient) -> None:
    handle = f"{PREFIX}/pump"
    owner = {
        "index": 100,
        "type": "HS_ADMIN",
        "data": {"format": "admin", "value": {"handle": OWNER, "index": 300, "permissions": "011111110011"}},
    }
    assert code(await put(http, handle, value(2, "B", "2"), value(1, "A", "1"), owner)) == (201, 1)
    shown = await http.get(path(handle))
    assert [item["index"] for item in shown.json()["values"]] == [1, 2, 100]
    assert shown.json()["values"][2]["data"] == owner["data"]
    assert shown.headers["content-type"].startswith("application/json")
    assert code(await put(http, handle, value(1, "A", "x"), query="overwrite=false")) == (409, 101)
    assert code(await put(http, handle, value(1, "A", "x"), query="index=1&overwrite=false")) == (409, 201)
    assert code(await put(http, handle, value(1, "A", "x"), value(2, "B", "no"), query="index=1")) == (200, 1)
    assert code(await put(http, handle, value(3, "C", "3"), value(2, "B", "y"), query="index=various")) == (200, 1)
    assert data(await http.get(path(handle, "index=1&index=2&type=c"))) == {1: "x", 2: "y", 3: "3"}
    assert data(await http.get(path(handle, "type=c"))) == {3: "3"}
    assert code(await http.get(path(handle, "index=9"))) == (200, 200)
    assert code(await http.delete(path(handle, "index=3"), auth=OWN)) == (200, 1)
    assert code(await http.delete(path(handle, "index=3"), auth=OWN)) == (400, 200)
    assert code(await put(http, handle, value(7, "Z", "z"), owner)) == (200, 1)
    assert list(data(await http.get(path(handle)))) == [7, 100]
    assert code(await http.delete(path(handle), auth=OWN)) == (200, 1)
    assert code(await http.delete(path(handle), auth=OWN)) == (404, 100)
    minted = await put(http, f"{PREFIX}/lot-", value(1, "A", "1"), query="mintNewSuffix=true")
    assert code(minted) == (201, 1)
    assert data(await http.get(path(minted.json()["handle"]))) == {1: "1"}


@pytest.mark.parametrize(
    ("auth", "status"),
    [
        (None, (401, 402)),
        ((OWN[0], "wrong"), (401, 403)),
        ((quote("301:" + OWNER), SECRET), (401, 403)),
        ((quote(f"300:{PREFIX}/nobody"), SECRET), (401, 403)),
        (("no handle", SECRET), (401, 403)),
        ((quote(f"300:{PREFIX}/OTHER"), "other"), (403, 401)),
        ((quote(OWNER, safe=""), SECRET), (201, 1)),
    ],
)
async def test_who_may_write(node: HandleNode, http: httpx.AsyncClient, auth: Any, status: tuple[int, int]) -> None:
    await node.node.create(f"{PREFIX}/OTHER", HandleValue(300, HS_SECKEY, b"other", permissions=PRIVATE))
    said = await put(http, f"{PREFIX}/x", value(1, "A", "1"), auth=auth)
    assert code(said) == status
    assert ("www-authenticate" in said.headers) is (status[0] == 401)
    assert SECRET.decode() not in said.text


async def test_who_guesses_has_to_wait(node: HandleNode, http: httpx.AsyncClient) -> None:
    for _ in range(10):
        assert code(await put(http, f"{PREFIX}/x", value(1, "A", "1"), auth=(OWN[0], "guess"))) == (401, 403)
    assert code(await put(http, f"{PREFIX}/x", value(1, "A", "1"))) == (401, 403)
    assert node.counters.snapshot()["authentications_failed.too-often"] == 1
    assert code(await http.get(path(OWNER))) == (200, 1)


async def test_what_only_administrators_may_read(node: HandleNode, http: httpx.AsyncClient) -> None:
    handle = f"{PREFIX}/secrets"
    await node.node.create(
        handle,
        HandleValue(1, "URL", b"a"),
        HandleValue(2, "PRICE", b"7", permissions=PRIVATE),
        HandleValue(3, "SEALED", b"8", permissions=0),
        HandleValue(300, HS_SECKEY, b"key", permissions=0b1111),
    )
    for _ in range(2):
        # Twice: what an administrator was shown is not kept for the next.
        assert data(await http.get(path(handle))) == {1: "a"}
        assert data(await http.get(path(handle), auth=OWN)) == {1: "a", 2: "7"}
        assert data(await http.get(path(handle, "publicOnly=true"), auth=OWN)) == {1: "a"}
        assert data(await http.get(path(handle, "auth=false&index=1&index=2"))) == {1: "a"}
        assert code(await http.get(path(handle, "index=2"))) == (401, 402)
        assert code(await http.get(path(handle, "type=price"))) == (401, 402)
        assert code(await http.get(path(handle, "publicOnly&type=PRICE"))) == (200, 200)
        assert data(await http.get(path(handle, "index=2&index=300"), auth=OWN)) == {2: "7"}
        assert code(await http.get(path(handle, "index=300"), auth=OWN)) == (200, 200)
        assert code(await http.get(path(handle, "index=3"), auth=OWN)) == (200, 200)
        assert code(await http.get(path(handle), auth=(OWN[0], "wrong"))) == (401, 403)


async def test_kept_answers_change_with_the_handle(node: HandleNode, http: httpx.AsyncClient) -> None:
    handle = f"{PREFIX}/kept"
    await node.node.create(handle, model="A-1")
    for text in ("B-2", "C-3"):
        assert (await http.get(path(handle))).json()["values"][0]["data"]["value"] != text
        await http.get(path(handle))
        assert code(await put(http, handle, value(2000, "model", text), query="index=2000")) == (200, 1)
        assert data(await http.get(path(handle)))[2000] == text
    assert code(await put(http, handle, value(2001, "power", "much"), query="index=2001")) == (400, 202)


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/api/handles/" + PREFIX + "/x", b"", (400, 4)),
        ("/api/handles/" + PREFIX + "/x", b"[]", (400, 4)),
        ("/api/handles/" + PREFIX + "/x", b"[" * 100_000, (400, 4)),
        ("/api/handles/" + PREFIX + "/x", b'{"values": [1]}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x", b'{"values": [{"index": 0, "type": "A", "data": "a"}]}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x", b'{"values": [{"index": 1, "type": "A", "data": ["a"]}]}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x", b'{"values": [], "handle": "99.2/y"}', (400, 102)),
        ("/api/handles/" + PREFIX + "/%FF", b'{"values": []}', (400, 102)),
        ("/api/handles/", b'{"values": []}', (400, 102)),
        ("/api/handles/nohandle", b'{"values": []}', (400, 102)),
        ("/api/handles/" + PREFIX + "/x?index=0", b'{"values": []}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x?index=1", b'{"values": []}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x?index=-1", b'{"values": []}', (400, 202)),
        ("/api/handles/" + PREFIX + "/x?overwrite=perhaps", b'{"values": []}', (400, 4)),
        ("/api/handles/" + PREFIX + "/x?" + "a&" * 2000, b'{"values": []}', (400, 4)),
        ("/api/handles/" + PREFIX + "/", b'{"values": []}', (400, 202)),
        ("/api/handles/" + PREFIX + "/a%0A", b'{"values": []}', (400, 202)),
        ("/api/handles/77.1/x", b'{"values": []}', (403, 401)),
        ("/api/handles/0.NA/99.1000.1.9", b'{"values": []}', (403, 401)),
    ],
)
async def test_bad_requests(http: httpx.AsyncClient, target: str, body: bytes, status: tuple[int, int]) -> None:
    assert code(await http.put(target, content=body, auth=OWN)) == status


async def test_other_methods(http: httpx.AsyncClient) -> None:
    assert (await http.post(path(OWNER))).status_code == 405
    head = await http.head(path(OWNER))
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len((await http.get(path(OWNER))).content)
    options = await http.options(path(OWNER))
    assert (options.status_code, options.headers["access-control-allow-origin"]) == (204, "*")


async def test_reverse_lookup(node: HandleNode, http: httpx.AsyncClient) -> None:
    for number in range(3):
        values = (
            HandleValue(1, "URL", f"https://pump.example/{number}".encode()),
            HandleValue(2, "LOT", b"L%d" % number),
        )
        await node.node.create(f"{PREFIX}/{number}", *values)
    await node.node.create(f"{PREFIX}/hidden", HandleValue(300, HS_SECKEY, b"https://pump.example/secret"))
    await node.node.create(f"{PREFIX}/STRANGER", HandleValue(300, HS_SECKEY, b"other", permissions=PRIVATE))

    async def ask(query: str, auth: Any = OWN) -> Any:
        said = await http.get(f"/hrls/handles?{query}", auth=auth)
        return json.loads(said.text) if said.status_code == 200 else said.status_code

    assert await ask("URL=*PUMP*") == [f"{PREFIX}/{number}" for number in range(3)]
    assert await ask("URL=*pump*/1&lot=L1") == [f"{PREFIX}/1"]
    assert await ask("URL=*nothing*") == []
    assert await ask("HS_SECKEY=*") == []
    assert await ask("URL=*", auth=(quote(f"300:{PREFIX}/STRANGER"), "other")) == []
    assert await ask("URL=*", auth=None) == 401
    assert await ask("URL=*", auth=(OWN[0], "wrong")) == 401
    assert await ask("") == 400
    assert (await http.get("/wrong/hrls/handles?URL=*", auth=OWN)).status_code == 404


async def test_reverse_lookup_of_too_many(
    monkeypatch: pytest.MonkeyPatch, node: HandleNode, http: httpx.AsyncClient
) -> None:
    monkeypatch.setattr("gongfu.identify.http.reverse_lookup.MOST_RECORDS", 2)
    for number in range(3):
        await node.node.create(f"{PREFIX}/{number}")
    said = await http.get("/hrls/handles?URL=*", auth=OWN)
    assert (said.status_code, said.json()["code"]) == (422, "too-many-records")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a", "A", True),
        ("a", "ab", False),
        ("*", "", True),
        ("a*b", "ab", True),
        ("a*b", "a", False),
        ("ab*ba", "aba", False),
        ("*b*c*", "abxcx", True),
        ("*c*b*", "abxcx", False),
        ("*" * 5000 + "x", "y" * 5000, False),
        ("(", "(", True),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


async def test_messages_of_the_handle_protocol_in_http(node: HandleNode, http: httpx.AsyncClient) -> None:
    links = DigitalLinkFace(node.node.identifiers.lookup, "")
    node.http.mount("", TunnelFace(node.service.answering, links), body_bytes=BODY_BYTES)
    requests = itertools.count(1)

    async def post(content: bytes) -> httpx.Response:
        return await http.post("/", content=content, headers={"Content-Type": MEDIA_TYPE})

    async def ask(message: Message) -> Message:
        encoded = encode_message(message)
        sent = Envelope(next(requests), len(encoded), message.session or 0)
        said = await post(encode_envelope(sent) + encoded)
        assert (said.status_code, said.headers["content-type"]) == (200, MEDIA_TYPE)
        envelope = decode_envelope(said.content)
        assert envelope.request == sent.request
        return msgspec.structs.replace(decode_message(said.content[ENVELOPE_BYTES:]), session=envelope.session)

    record = Record(f"{PREFIX}/tunnel", (HandleValue(1, "URL", b"a"),))
    create = Message(Header(OpCode.CREATE_HANDLE), encode_record(record))
    assert (await ask_as(ask, create, with_secret(OWNER, 300, SECRET))).header.response == ResponseCode.SUCCESS
    said = await ask(Message(Header(OpCode.RESOLUTION), encode_resolution(Resolution(f"{PREFIX}/tunnel"))))
    assert decode_record(said.body).values[0].data == b"a"
    for content in (
        b"",
        b"\0" * 30,
        encode_envelope(Envelope(1, 100)),
        encode_envelope(Envelope(1, 24, flags=0x2000)) + bytes(24),
    ):
        assert (await post(content)).status_code == 400
    assert (await http.get("/nothing")).status_code == 404
