"""kdig, curl, pyhandle and a Handle client resolve the same identifier to the same values."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from pyhandle.handleclient import RESTHandleClient

from gongfu.identify.dns.names import labels_of
from gongfu.identify.handle.bodies import Resolution, decode_record, encode_resolution
from gongfu.identify.handle.client import ask_udp
from gongfu.identify.handle.codes import OpCode
from gongfu.identify.handle.envelope import Header, Message
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.service.writes import Operation
from tests.contract.identify.nodes import ZONE, Node, kdig, node, run

HANDLE = "99.1000.1/泵/型号 A?甲#乙%20_B.c"
# pyhandle puts a handle into the URL as it is: "?", "#" and "%" of one do not arrive.
PLAIN = "99.1000.1/泵/型号A甲_B.c"
TEXTS = {1: "https://例子.example/泵?a=1#b", 2: "离心泵 “50%”\\", 7: "x" * 400}

pytestmark = [
    pytest.mark.skipif(shutil.which("kdig") is None, reason="kdig (knot-dnsutils) is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[Node]:
    async with node(tmp_path / "here", **{"2_999": "99.1000.1"}) as made:
        yield made


def values(texts: dict[int, str]) -> list[HandleValue]:
    return [HandleValue(index, "URL" if index == 1 else "DESC", text.encode()) for index, text in texts.items()]


def name_of(handle: str) -> str:
    labels = labels_of(parse_handle(handle), (b"hdl", *(label.encode() for label in ZONE.split("."))))
    return b".".join(labels).decode()


def strings(text: str) -> list[str]:
    """Return the data of TXT records as kdig writes them, by record."""
    found: list[str] = []
    # kdig writes an empty line where it goes on over TCP.
    for line in text.split("\n"):
        if not line:
            continue
        raw = b"|".join(
            re.sub(rb"\\(\d{3}|.)", lambda m: bytes([int(m[1])]) if m[1].isdigit() else m[1], part)
            for part in re.findall(rb'"((?:[^"\\]|\\.)*)"', line.encode())
        )
        head, _, rest = raw.partition(b"|")
        found.append(head.decode() + "=" + rest.replace(b"|", b"").decode())
    return sorted(found)


async def by_dns(node: Node, handle: str) -> dict[int, str]:
    records = strings(await kdig(node.dns_port, name_of(handle), "TXT", "+short"))
    return {int(head.split()[0]): text for head, _, text in (record.partition("=") for record in records)}


async def by_curl(node: Node, handle: str) -> dict[int, str]:
    body = await run("curl", "-s", f"http://127.0.0.1:{node.http_port}/api/handles/{quote(handle, safe='')}")
    return {value["index"]: value["data"]["value"] for value in json.loads(body)["values"]}


async def by_pyhandle(node: Node, handle: str) -> dict[int, str]:
    client = RESTHandleClient(handle_server_url=f"http://127.0.0.1:{node.http_port}")
    found = await asyncio.to_thread(client.retrieve_handle_record_json, handle)
    assert found is not None
    return {value["index"]: value["data"]["value"] for value in found["values"]}


async def by_handle(node: Node, handle: str) -> dict[int, str]:
    body = encode_resolution(Resolution(handle))
    answer = await ask_udp("127.0.0.1", node.handle_port, Message(Header(OpCode.RESOLUTION), body), 20)
    return {value.index: value.data.decode() for value in decode_record(answer.body).values}


async def test_four_clients_see_the_same(here: Node):
    for handle in (HANDLE, PLAIN):
        assert (await here.core.create(handle, *values(TEXTS))).done
        for ask in (by_dns, by_curl, by_handle):
            assert await ask(here, handle) == TEXTS, ask.__name__
    assert await by_pyhandle(here, PLAIN) == TEXTS
    mixed = "".join(c.upper() if n % 3 else c for n, c in enumerate(name_of(HANDLE)))
    assert strings(await kdig(here.dns_port, mixed, "TXT", "+short")) == [
        f"1 URL={TEXTS[1]}",
        *(f"{n} DESC={TEXTS[n]}" for n in (2, 7)),
    ]


async def test_all_see_a_change_at_once(here: Node):
    assert (await here.core.create(HANDLE, *values({1: "http://a/"}))).done
    for ask in (by_dns, by_curl, by_handle):
        assert await ask(here, HANDLE) == {1: "http://a/"}
    assert (await here.core.write(Operation.PUT, HANDLE, values=tuple(values({1: "http://b/"})))).done
    for ask in (by_dns, by_curl, by_handle):
        assert await ask(here, HANDLE) == {1: "http://b/"}
    assert (await here.core.write(Operation.DELETE, HANDLE)).done
    assert "status: NXDOMAIN" in await kdig(here.dns_port, name_of(HANDLE), "TXT")
    assert (await here.core.create(HANDLE, *values({1: "http://c/"}))).done
    assert await by_dns(here, HANDLE) == {1: "http://c/"}


async def test_kdig_reads_every_kind_of_answer(here: Node):
    await here.core.create("99.1000.1/7.1", *values({1: "http://oid/"}))
    port, name = here.dns_port, name_of("99.1000.1/7.1")
    assert 'URI\t10 1 "http://oid/"' in await kdig(port, name, "URI")
    assert '100 10 "u" "HDL+URL" "!^.*$!http://oid/!" .' in await kdig(port, name, "NAPTR", "+tcp")
    naptr = await kdig(port, f"ors-dummy.1.7.999.2.oid.{ZONE}", "NAPTR", "+short")
    assert naptr.splitlines() == [
        '100 10 "u" "ORS+COID" "!^.*$!/2/999/7/1!" .',
        '100 20 "u" "ORS+UINF" "!^.*$!http://oid/!" .',
    ]
    assert '"RFC8482" ""' in await kdig(port, name, "ANY", "+short")
    assert f"ns.{ZONE}." in await kdig(port, ZONE, "NS", "+short")
    nothing = await kdig(port, name, "MX")
    assert "status: NOERROR" in nothing
    assert re.search(rf"{re.escape(ZONE)}\.\s+60\s+IN\s+SOA", nothing)
    assert "status: NXDOMAIN" in await kdig(port, name_of("99.1000.1/none"), "TXT")
    assert "status: REFUSED" in await kdig(port, "example.org", "A")
    assert "status: BADVERS" in await kdig(port, name, "TXT", "+edns=1", "+noedns", "+edns=1")
    assert "ext-rcode: NOERROR" in await kdig(port, name, "TXT", "+bufsize=1232", "+cookie", "+dnssec", "+padding=128")


async def test_a_name_is_there_as_soon_as_something_is_below_it(here: Node):
    async def status(name: str) -> str:
        found = re.search(r"status: (\w+)", await kdig(here.dns_port, f"{name}.{ZONE}", "NAPTR"))
        assert found
        return found[1]

    assert await status("7.999.2.oid") == "NXDOMAIN"
    await here.core.create("99.1000.1/7.1", *values({1: "http://oid/"}))
    assert await status("7.999.2.oid") == "NOERROR"
    assert await status("77.999.2.oid") == "NXDOMAIN"
    assert await status("99.hdl") == "NOERROR"
    assert await status("98.hdl") == "NXDOMAIN"
    assert await status("2.1000.99.hdl") == "NXDOMAIN"
    await here.core.add_prefix("99.1000.2")
    assert await status("2.1000.99.hdl") == "NOERROR"


async def test_kdig_goes_on_over_tcp(here: Node):
    await here.core.create(
        "99.1000.1/big", *(HandleValue(n, "URL", b"http://%d/" % n + b"x" * 150) for n in range(1, 30))
    )
    name = name_of("99.1000.1/big")
    assert "Flags: qr aa tc" in await kdig(here.dns_port, name, "URI", "+ignore")
    assert len((await kdig(here.dns_port, name, "URI", "+short")).split()) == 3 * 29
