"""Handles administered over the Handle protocol: real sockets, a real store, challenges and proofs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gongfu.identify.administration.client import Prove, with_private_key, with_secret
from gongfu.identify.administration.credential import ServerKey, is_certified
from gongfu.identify.administration.handle_service import one_server_site
from gongfu.identify.authentication.public_keys import PrivateKey, encode_public_key
from gongfu.identify.authentication.secret_keys import MacCode
from gongfu.identify.handle.bodies import (
    Record,
    Removal,
    Resolution,
    decode_error,
    decode_handle,
    decode_handles,
    decode_record,
    encode_challenge_answer,
    encode_handle,
    encode_record,
    encode_removal,
    encode_resolution,
    split_digest,
)
from gongfu.identify.handle.codes import OpCode, OpFlag, Permission, ResponseCode
from gongfu.identify.handle.envelope import (
    ENVELOPE_BYTES,
    Envelope,
    Header,
    Message,
    decode_message,
    encode_envelope,
    encode_message,
    encode_signed,
)
from gongfu.identify.handle.predefined import HS_PUBKEY, HS_SECKEY, decode_site
from gongfu.identify.handle.values import HandleValue
from tests.fixtures.handle_service import OWNER, SECRET, HandleNode, administrator, handle_node
from tests.fixtures.identifiers import PREFIX, PrefixState

URL = HandleValue(1, "URL", "https://工厂.example/泵".encode())
PRICE = HandleValue(2, "PRICE", b"7", permissions=Permission.ADMIN_READ | Permission.ADMIN_WRITE)
PUMP = f"{PREFIX}/工 厂/%2F?#泵"
ADMIN_READ = 0b1100


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[HandleNode]:
    async with handle_node(tmp_path) as opened:
        yield opened


def request(operation: OpCode, body: bytes, flags: int = 0) -> Message:
    return Message(Header(operation, flags=flags), body)


def create(handle: str, *values: HandleValue, flags: int = 0) -> Message:
    return request(OpCode.CREATE_HANDLE, encode_record(Record(handle, values)), flags)


def resolution(handle: str, *indexes: int, flags: int = 0) -> Message:
    return request(OpCode.RESOLUTION, encode_resolution(Resolution(handle, indexes)), flags)


def code(message: Message) -> ResponseCode:
    return ResponseCode(message.header.response)


async def resolved(node: HandleNode, handle: str, flags: int = 0) -> dict[int, bytes]:
    said = await node.udp(resolution(handle, flags=flags))
    assert code(said) is ResponseCode.SUCCESS, decode_error(said.body)
    return {value.index: value.data for value in decode_record(said.body).values}


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
async def test_the_life_of_a_handle(node: HandleNode, udp: bool) -> None:
    async def done(message: Message) -> ResponseCode:
        return code(await node.as_owner(message, udp=udp))

    assert code(await node.tcp(resolution(PUMP))) is ResponseCode.HANDLE_NOT_FOUND
    assert await done(create(PUMP, URL, PRICE, administrator())) is ResponseCode.SUCCESS
    assert await resolved(node, PUMP) == {1: URL.data, 100: administrator().data}
    assert await done(create(PUMP, URL)) is ResponseCode.HANDLE_ALREADY_EXISTS

    note = HandleValue(3, "NOTE", bytes(2000))
    add = request(OpCode.ADD_VALUE, encode_record(Record(PUMP, (note,))))
    assert await done(add) is ResponseCode.SUCCESS
    assert await done(add) is ResponseCode.VALUE_ALREADY_EXISTS
    changed = HandleValue(1, "URL", b"http://b")
    modify = request(OpCode.MODIFY_VALUE, encode_record(Record(PUMP, (changed,))))
    assert await done(modify) is ResponseCode.SUCCESS
    assert await resolved(node, PUMP) == {1: b"http://b", 3: bytes(2000), 100: administrator().data}
    missing = request(OpCode.MODIFY_VALUE, encode_record(Record(PUMP, (HandleValue(9, "X", b""),))))
    assert await done(missing) is ResponseCode.VALUES_NOT_FOUND

    remove = request(OpCode.REMOVE_VALUE, encode_removal(Removal(PUMP, (3,))))
    assert await done(remove) is ResponseCode.SUCCESS
    assert await done(remove) is ResponseCode.VALUES_NOT_FOUND
    assert await done(create(PUMP, URL, administrator(), flags=OpFlag.OVERWRITE)) is ResponseCode.SUCCESS
    assert await resolved(node, PUMP) == {1: URL.data, 100: administrator().data}

    delete = request(OpCode.DELETE_HANDLE, encode_handle(PUMP))
    assert await done(delete) is ResponseCode.SUCCESS
    assert await done(delete) is ResponseCode.HANDLE_NOT_FOUND
    assert code(await node.udp(resolution(PUMP))) is ResponseCode.HANDLE_NOT_FOUND


@pytest.mark.parametrize("how", list(MacCode), ids=lambda how: how.name)
async def test_proofs_with_secret_keys(node: HandleNode, how: MacCode) -> None:
    said = await node.as_owner(create(PUMP, URL), who=with_secret(OWNER.lower(), 300, SECRET, how))
    # The suffix of the key's handle is another in other case.
    assert code(said) is ResponseCode.UNABLE_TO_AUTHENTICATE
    said = await node.as_owner(create(PUMP, URL), who=with_secret(OWNER, 300, b"wrong", how))
    assert code(said) is ResponseCode.AUTHENTICATION_FAILED
    assert (
        code(await node.as_owner(create(PUMP, URL), who=with_secret(OWNER, 300, SECRET, how))) is ResponseCode.SUCCESS
    )


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 1024), Ed25519PrivateKey.from_private_bytes(bytes(32))],
    ids=["rsa", "ed25519"],
)
async def test_proofs_with_public_keys(node: HandleNode, key: PrivateKey) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = HandleValue(301, HS_PUBKEY, encode_public_key(key.public_key()))
    assert (await node.node.create(f"{PREFIX}/KEYS", public)).done
    assert (await node.node.create(f"{PREFIX}/x", URL, administrator(100, f"{PREFIX}/KEYS", 301))).done
    delete = request(OpCode.DELETE_HANDLE, encode_handle(f"{PREFIX}/x"))

    async def said(who: Prove) -> ResponseCode:
        return code(await node.as_owner(delete, who=who))

    assert await said(with_private_key(f"{PREFIX}/KEYS", 301, other)) in (
        ResponseCode.AUTHENTICATION_FAILED,
        ResponseCode.INVALID_CREDENTIAL,
    )
    assert await said(with_private_key(OWNER, 300, key)) is ResponseCode.UNABLE_TO_AUTHENTICATE
    assert await said(with_private_key(f"{PREFIX}/KEYS", 302, key)) is ResponseCode.UNABLE_TO_AUTHENTICATE
    # Administrators of the prefix are none of a handle that has its own.
    assert await said(with_secret(OWNER, 300, SECRET)) is ResponseCode.NOT_AUTHORIZED
    assert await said(with_private_key(f"{PREFIX}/KEYS", 301, key)) is ResponseCode.SUCCESS


async def test_a_proof_counts_once_and_for_its_request_only(node: HandleNode) -> None:
    challenge = await node.tcp(create(PUMP, URL))
    assert code(challenge) is ResponseCode.AUTHENTICATION_NEEDED
    assert challenge.session
    digest, body = split_digest(challenge.body)
    other = await node.tcp(request(OpCode.DELETE_HANDLE, encode_handle(OWNER)))
    proof = encode_challenge_answer(with_secret(OWNER, 300, SECRET)(body[4:] + digest[1:]))

    async def answered(session: int | None) -> ResponseCode:
        return code(await node.tcp(Message(Header(OpCode.CHALLENGE_RESPONSE), proof, session=session)))

    assert await answered(other.session) is ResponseCode.AUTHENTICATION_FAILED
    assert await answered(other.session) is ResponseCode.AUTHENTICATION_TIMEOUT
    assert await answered(0) is ResponseCode.AUTHENTICATION_TIMEOUT
    assert await answered(challenge.session) is ResponseCode.SUCCESS
    assert await answered(challenge.session) is ResponseCode.AUTHENTICATION_TIMEOUT
    assert code(await node.tcp(resolution(OWNER))) is ResponseCode.SUCCESS


async def test_what_only_administrators_may_read(node: HandleNode) -> None:
    await node.node.create(PUMP, URL, PRICE, HandleValue(300, HS_SECKEY, b"key", permissions=0b1110))
    public = OpFlag.PUBLIC_ONLY
    assert await resolved(node, PUMP) == {1: URL.data}
    assert await resolved(node, PUMP, flags=public) == {1: URL.data}
    assert code(await node.tcp(resolution(PUMP, 2))) is ResponseCode.AUTHENTICATION_NEEDED
    assert code(await node.tcp(resolution(PUMP, 1, 2))) is ResponseCode.AUTHENTICATION_NEEDED
    assert code(await node.tcp(resolution(PUMP, 2, flags=public))) is ResponseCode.VALUES_NOT_FOUND
    # Its owner has no use for it either: it is there to be proved, not read.
    assert code(await node.as_owner(resolution(PUMP, 300))) is ResponseCode.VALUES_NOT_FOUND
    said = await node.as_owner(resolution(PUMP, 1, 2, 300))
    assert [value.index for value in decode_record(said.body).values] == [1, 2]
    # Asked again by a stranger, with the same bytes.
    assert code(await node.tcp(resolution(PUMP, 1, 2, 300))) is ResponseCode.AUTHENTICATION_NEEDED


async def test_who_may_not_read_is_told_so(node: HandleNode) -> None:
    await node.node.create(PUMP, URL, PRICE, administrator(100, f"{PREFIX}/OTHER"))
    assert code(await node.as_owner(resolution(PUMP, 2))) is ResponseCode.ACCESS_DENIED


async def test_answers_that_are_kept_change_with_the_handle(node: HandleNode) -> None:
    await node.node.create(PUMP, URL)
    for _ in range(3):
        assert await resolved(node, PUMP) == {1: URL.data}
        assert code(await node.tcp(resolution(PUMP))) is ResponseCode.SUCCESS
    assert node.counters.snapshot()["handle_answers.fast"] >= 2
    changed = encode_record(Record(PUMP, (HandleValue(1, "URL", b"new"),)))
    assert code(await node.as_owner(request(OpCode.MODIFY_VALUE, changed))) is ResponseCode.SUCCESS
    assert await resolved(node, PUMP) == {1: b"new"}
    assert decode_record((await node.tcp(resolution(PUMP))).body).values[0].data == b"new"
    assert code(await node.as_owner(request(OpCode.DELETE_HANDLE, encode_handle(PUMP)))) is ResponseCode.SUCCESS
    assert code(await node.udp(resolution(PUMP))) is ResponseCode.HANDLE_NOT_FOUND
    await node.node.create(PUMP, HandleValue(1, "URL", b"again"))
    assert await resolved(node, PUMP) == {1: b"again"}


async def test_listing(node: HandleNode) -> None:
    ask = request(OpCode.LIST_HANDLE, encode_handle(f"0.NA/{PREFIX}"))
    await node.node.create(f"{PREFIX}/b")
    assert code(await node.tcp(ask)) is ResponseCode.AUTHENTICATION_NEEDED
    said = await node.as_owner(ask)
    assert decode_handles(said.body) == (OWNER, f"{PREFIX}/b")
    other = request(OpCode.LIST_HANDLE, encode_handle("0.NA/99.7"))
    assert code(await node.tcp(other)) is ResponseCode.HANDLE_NOT_FOUND
    await node.node.create(f"{PREFIX}/OTHER", HandleValue(300, HS_SECKEY, b"other", permissions=ADMIN_READ))
    stranger = with_secret(f"{PREFIX}/OTHER", 300, b"other")
    assert code(await node.as_owner(ask, who=stranger)) is ResponseCode.NOT_AUTHORIZED


async def test_names_that_the_server_makes(node: HandleNode) -> None:
    said = await node.as_owner(create(f"{PREFIX}/lot-", URL, flags=OpFlag.MINT_SUFFIX))
    handle = decode_handle(said.body)
    assert handle.startswith(f"{PREFIX}/lot-")
    assert await resolved(node, handle) == {1: URL.data}


async def test_prefixes_and_others_handles(node: HandleNode) -> None:
    prefix = create("0.NA/99.1000.1.7", administrator())
    assert code(await node.as_owner(prefix)) in (ResponseCode.NOT_AUTHORIZED, ResponseCode.ACCESS_DENIED)
    assert code(await node.as_owner(create("77.1/x", URL))) is ResponseCode.NOT_AUTHORIZED
    assert code(await node.as_owner(create("no handle", URL))) is ResponseCode.INVALID_HANDLE
    twice = create(PUMP, URL, URL)
    assert code(await node.as_owner(twice)) is ResponseCode.VALUE_INVALID
    change = encode_record(Record(f"0.na/{PREFIX}", (HandleValue(5, "URL", b"https://works.example"),)))
    assert code(await node.as_owner(request(OpCode.ADD_VALUE, change))) is ResponseCode.SUCCESS
    assert (await resolved(node, f"0.NA/{PREFIX}"))[5] == b"https://works.example"


async def test_many_administrators_at_once(node: HandleNode) -> None:
    handles = [f"{PREFIX}/n{number}" for number in range(40)]
    said = await asyncio.gather(
        *(node.as_owner(create(handle, URL), udp=n % 2 == 0) for n, handle in enumerate(handles))
    )
    assert [code(message) for message in said] == [ResponseCode.SUCCESS] * 40
    assert code(await node.as_owner(create(handles[0], URL))) is ResponseCode.HANDLE_ALREADY_EXISTS


async def test_certified_answers_and_the_site(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 1024)
    key = ServerKey(private, clock=lambda: 0.0, most_a_second=4)
    site = one_server_site(7, "127.0.0.1", handle_port=2641, http_port=2642, public_key=key.public_key)
    async with handle_node(tmp_path, site=lambda: site, key=key) as node:
        said = await node.tcp(request(OpCode.GET_SITE_INFO, b""))
        assert decode_site(said.body) == site
        for ask in (node.tcp, node.udp):
            said = await ask(resolution(OWNER, flags=OpFlag.CERTIFIED))
            assert said.header.site_serial == 7
            signed = encode_signed(said.header, said.body)
            assert is_certified(said.credential, signed, private.public_key())
            assert not is_certified(said.credential, signed + b"x", private.public_key())
        asked = Message(Header(OpCode.RESOLUTION, site_serial=6), encode_resolution(Resolution(OWNER)))
        assert code(await node.tcp(asked)) is ResponseCode.EXPIRED_SITE_INFO
        for serial in (7, 8, 0xFFFF):
            header = Header(OpCode.RESOLUTION, site_serial=serial)
            assert code(await node.tcp(Message(header, asked.body))) is ResponseCode.SUCCESS
        # The budget of signatures of a second; the answer that is kept costs none.
        for number in range(5):
            said = await node.tcp(resolution(f"{PREFIX}/none{number}", flags=OpFlag.CERTIFIED))
        assert code(said) is ResponseCode.SERVER_BUSY
        assert code(await node.tcp(resolution(OWNER, flags=OpFlag.CERTIFIED))) is ResponseCode.SUCCESS


@pytest.mark.parametrize(
    ("operation", "flags", "expected"),
    [
        (OpCode.SESSION_SETUP, 0, ResponseCode.SESSION_NOT_SUPPORTED),
        (OpCode.RESOLUTION, OpFlag.ENCRYPTION, ResponseCode.SESSION_NOT_SUPPORTED),
        (OpCode.HOME_NA, 0, ResponseCode.OPERATION_DENIED),
        (OpCode.LIST_NA, 0, ResponseCode.OPERATION_DENIED),
        (OpCode.GET_SITE_INFO, 0, ResponseCode.VALUES_NOT_FOUND),
        (OpCode.CHALLENGE_RESPONSE, 0, ResponseCode.PROTOCOL_ERROR),
        (OpCode.CREATE_HANDLE, 0, ResponseCode.PROTOCOL_ERROR),
    ],
)
async def test_what_is_not_offered(node: HandleNode, operation: OpCode, flags: int, expected: ResponseCode) -> None:
    said = await node.tcp(request(operation, b"\0", flags))
    assert code(said) is expected
    assert decode_error(said.body)[0]


async def test_members_of_ranges_and_their_classes(node: HandleNode) -> None:
    member = f"{PREFIX}/M00000007"
    await node.node.add_class(1, model="A-{number}")
    await node.node.identifiers.define_range(PREFIX, "M{00000001..00000009}", 1)
    for _ in range(2):
        assert await resolved(node, member) == {2000: b"A-00000007"}
    # What all members have in common changes, and with it each answer that is kept.
    await node.node.add_class(1, model="B-{number}")
    assert await resolved(node, member) == {2000: b"B-00000007"}
    add = request(OpCode.ADD_VALUE, encode_record(Record(member, (URL,))))
    assert code(await node.as_owner(add)) is ResponseCode.SUCCESS
    assert await resolved(node, member) == {1: URL.data, 2000: b"B-00000007"}
    delete = request(OpCode.DELETE_HANDLE, encode_handle(member))
    assert code(await node.as_owner(delete)) is ResponseCode.SUCCESS
    assert code(await node.udp(resolution(member))) is ResponseCode.HANDLE_NOT_FOUND
    assert await resolved(node, f"{PREFIX}/M00000008") == {2000: b"B-00000008"}
    await node.node.identifiers.remove_range(PREFIX, "M{00000001..00000009}")
    assert code(await node.udp(resolution(f"{PREFIX}/M00000008"))) is ResponseCode.HANDLE_NOT_FOUND


async def test_prefixes_that_are_suspended_and_revoked(node: HandleNode) -> None:
    await node.node.create(PUMP, URL)
    assert await resolved(node, PUMP) == {1: URL.data}
    await node.node.add_prefix(PREFIX, state=PrefixState.SUSPENDED)
    assert await resolved(node, PUMP) == {1: URL.data}
    assert code(await node.as_owner(create(f"{PREFIX}/new", URL))) is ResponseCode.OPERATION_DENIED
    await node.node.add_prefix(PREFIX, state=PrefixState.REVOKED)
    assert code(await node.udp(resolution(PUMP))) is ResponseCode.HANDLE_NOT_FOUND
    assert code(await node.tcp(resolution(PUMP))) is ResponseCode.HANDLE_NOT_FOUND
    # Its keys are gone with it.
    assert code(await node.as_owner(create(f"{PREFIX}/new", URL))) is ResponseCode.UNABLE_TO_AUTHENTICATE
    await node.node.add_prefix(PREFIX, state=PrefixState.ACTIVE)
    assert await resolved(node, PUMP) == {1: URL.data}
    assert code(await node.as_owner(create(f"{PREFIX}/new", URL))) is ResponseCode.SUCCESS


async def test_a_request_that_comes_again_over_udp_is_done_once(node: HandleNode) -> None:
    challenge = await node.udp(create(PUMP, URL))
    digest, body = split_digest(challenge.body)
    proof = encode_challenge_answer(with_secret(OWNER, 300, SECRET)(body[4:] + digest[1:]))
    encoded = encode_message(Message(Header(OpCode.CHALLENGE_RESPONSE), proof))
    packet = encode_envelope(Envelope(99, len(encoded), challenge.session or 0)) + encoded
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", node.port))
        loop = asyncio.get_running_loop()
        said: list[bytes] = []
        async with asyncio.timeout(60):
            # Twice at once, and once more when it was answered.
            await loop.sock_sendall(client, packet)
            await loop.sock_sendall(client, packet)
            said.append(await loop.sock_recv(client, 2000))
            await loop.sock_sendall(client, packet)
            said.append(await loop.sock_recv(client, 2000))
    assert said[0] == said[1]
    assert decode_message(said[0][ENVELOPE_BYTES:]).header.response == ResponseCode.SUCCESS
    assert node.counters.snapshot()["handle_requests_repeated"] == 2
