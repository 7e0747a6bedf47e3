"""Two and three nodes with stores of their own: who delegates, who registers, who resolves for others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gongfu.identify.handle.bodies import Resolution, decode_record, encode_resolution
from gongfu.identify.handle.client import ask_udp
from gongfu.identify.handle.codes import OpCode, OpFlag, Permission, ResponseCode
from gongfu.identify.handle.envelope import Header, Message
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import Delegation, PrefixState
from gongfu.identify.resolver.types import CacheState
from gongfu.identify.service.writes import Operation
from tests.contract.identify.nodes import Node, node

HANDLE = "99.1000.1.7/泵"


def url(text: str) -> HandleValue:
    return HandleValue(1, "URL", text.encode())


@pytest_asyncio.fixture
async def upper(tmp_path: Path) -> AsyncIterator[Node]:
    async with node(tmp_path / "upper") as made:
        yield made


@pytest_asyncio.fixture
async def lower(tmp_path: Path, upper: Node) -> AsyncIterator[Node]:
    async with node(tmp_path / "lower") as made:
        # It has only what was delegated to it.
        await made.core.add_prefix("99.1000.1", state=PrefixState.REVOKED)
        await made.core.add_prefix("99.1000.1.7")
        await delegate(upper, made)
        yield made


async def delegate(upper: Node, lower: Node, state: PrefixState = PrefixState.ACTIVE) -> None:
    delegation = Delegation(name="99.1000.1.7", state=state, values=(lower.site(),))
    await upper.core.identifiers.set_delegation(delegation)


async def ask(at: Node, handle: str, flags: int = 0, indexes: tuple[int, ...] = ()) -> Message:
    header = Header(OpCode.RESOLUTION, flags=flags)
    message = Message(header, encode_resolution(Resolution(handle, indexes)))
    return await ask_udp("127.0.0.1", at.handle_port, message, 20)


async def text(at: Node, handle: str) -> str | None:
    answer = await ask(at, handle, OpFlag.RECURSIVE)
    if answer.header.response == ResponseCode.HANDLE_NOT_FOUND:
        return None
    assert answer.header.response == ResponseCode.SUCCESS, decode_record
    return decode_record(answer.body).values[0].data.decode()


async def test_a_client_is_referred_or_answered(upper: Node, lower: Node):
    await lower.core.create(HANDLE, url("x"))
    referred = await ask(upper, HANDLE)
    assert referred.header.response == ResponseCode.PREFIX_REFERRAL
    record = decode_record(referred.body)
    assert record.handle == "0.NA/99.1000.1.7"
    assert lower.site().data in {value.data for value in record.values}
    assert await text(upper, HANDLE) == "x"
    forbidden = await ask(upper, HANDLE, OpFlag.DO_NOT_REFER)
    assert forbidden.header.response == ResponseCode.HANDLE_NOT_FOUND


async def test_warm_is_one_question_or_none(upper: Node, lower: Node):
    for suffix in "ab":
        await lower.core.create(f"99.1000.1.7/{suffix}", url(suffix))
    cold = await upper.resolver.resolve(parse_handle("99.1000.1.7/a"))
    assert (cold.code, cold.questions) == (ResponseCode.SUCCESS, 1)
    assert (await upper.resolver.resolve(parse_handle("99.1000.1.7/b"))).questions == 1
    assert (await upper.resolver.resolve(parse_handle("99.1000.1.7/a"))).questions == 0


async def test_registered_after_it_was_asked_for(upper: Node, lower: Node):
    """The node where it is registered knows at once; another one as soon as it is told, or its short memory ends."""
    assert await text(lower, HANDLE) is None
    assert await text(upper, HANDLE) is None
    await lower.core.create(HANDLE, url("x"))
    assert await text(lower, HANDLE) == "x"
    upper.resolver.forget([parse_handle(HANDLE).key])
    assert await text(upper, HANDLE) == "x"


async def test_a_prefix_that_is_taken_back_to_the_upper_node(upper: Node, lower: Node):
    """What was looked for elsewhere and not found does not hide what is registered here afterwards."""
    assert await text(upper, HANDLE) is None
    await delegate(upper, lower, PrefixState.REVOKED)
    await upper.core.add_prefix("99.1000.1.7")
    await upper.core.create(HANDLE, url("mine"))
    assert await text(upper, HANDLE) == "mine"


async def test_revoked_is_revoked_at_once_where_it_is_revoked(upper: Node, lower: Node):
    await lower.core.create(HANDLE, url("x"))
    assert await text(upper, HANDLE) == "x"
    await delegate(upper, lower, PrefixState.REVOKED)
    assert await text(upper, HANDLE) is None
    assert (await ask(upper, HANDLE)).header.response == ResponseCode.HANDLE_NOT_FOUND


async def test_a_delegation_goes_to_another_node(upper: Node, lower: Node, tmp_path: Path):
    await lower.core.create(HANDLE, url("former"))
    assert await text(upper, HANDLE) == "former"
    async with node(tmp_path / "latter") as latter:
        await latter.core.add_prefix("99.1000.1.7")
        await latter.core.create(HANDLE, url("latter"))
        await upper.core.write(Operation.ADD_VALUES, "0.NA/99.1000.1.7", values=(latter.site(),), overwrite=True)
        assert await text(upper, HANDLE) == "latter"


async def test_the_lower_node_finds_what_is_above(upper: Node, lower: Node):
    await upper.core.create("99.1000.1/up", url("up"))
    assert await text(lower, "99.1000.1/up") is None
    await lower.core.add_prefix("99.1000.1.7")
    await lower.refer_above(upper)
    resolved = await lower.resolver.resolve(parse_handle("99.1000.2/none"))
    assert resolved.code == ResponseCode.HANDLE_NOT_FOUND
    assert resolved.hops[-1].server.endswith(str(upper.handle_port))


async def test_private_values_are_only_for_their_own_service_to_give(upper: Node, lower: Node):
    private = HandleValue(2, "PRICE", b"9", permissions=Permission.ADMIN_READ)
    await lower.core.create(HANDLE, url("x"), private)
    assert [v.index for v in decode_record((await ask(upper, HANDLE, OpFlag.RECURSIVE)).body).values] == [1]
    answer = await ask(upper, HANDLE, OpFlag.RECURSIVE, (2,))
    assert answer.header.response == ResponseCode.PREFIX_REFERRAL
    assert lower.site().data in {value.data for value in decode_record(answer.body).values}


async def test_a_lower_service_that_is_away(upper: Node, lower: Node):
    await lower.core.create(HANDLE, url("x"))
    await lower.stop()
    answer = await ask(upper, HANDLE, OpFlag.RECURSIVE)
    assert answer.header.response == ResponseCode.SERVER_NOT_RESPONDING
    resolved = await upper.resolver.resolve(parse_handle(HANDLE))
    assert {hop.cache for hop in resolved.hops} == {CacheState.MISS}
    assert all(hop.reason for hop in resolved.hops)
