"""Writes and what becomes of them: what the state machine does not come by."""

import asyncio
import threading
from pathlib import Path

import pytest

from gongfu.identify.handle.resolution import Elsewhere
from gongfu.identify.handle.values import HandleValue, Reference
from gongfu.identify.namespace.types import Delegation, PrefixState
from gongfu.identify.service.deciding import MAX_VALUE_BYTES
from gongfu.identify.service.identifiers import MAX_BATCH, MAX_KEY
from gongfu.identify.service.writes import BatchError, Operation, Outcome, Write, WriteCode, WriteReason
from tests.fixtures.identifiers import PREFIX, identifiers

URL = HandleValue(1, "URL", b"https://example.net/")
CREATE, PUT, DELETE = Operation.CREATE, Operation.PUT, Operation.DELETE


async def test_created_looked_up_changed_and_deleted(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        handle = f"{PREFIX}/泵/1?#%"
        assert (await node.create(handle, URL, model="A1", power="1.50")).code is WriteCode.CREATED
        assert node.values(handle) == {1: "https://example.net/", 2000: "A1", 2001: "1.50"}
        assert (await node.create(handle, model="A2")).code is WriteCode.ALREADY_EXISTS
        more = await node.write(Operation.ADD_VALUES, handle, values=(HandleValue(2, "EMAIL", b"a@b"),))
        assert more.code is WriteCode.REPLACED
        gone = await node.write(Operation.REMOVE_VALUES, handle, indexes=(1, 2001))
        assert gone.code is WriteCode.REPLACED
    async with identifiers(tmp_path) as node:
        assert node.values(handle) == {2: "a@b", 2000: "A1"}
        assert (await node.write(DELETE, handle)).code is WriteCode.DELETED
        assert node.values(handle) is None
        assert node.identifiers.counts()[PREFIX].total == 0


@pytest.mark.parametrize(
    ("handle", "fields", "detail"),
    [
        ("no-slash", {}, "prefix/suffix"),
        (f"{PREFIX}/", {}, "empty"),
        (f"{PREFIX}/a\nb", {}, "control"),
        (f"{PREFIX}/\ud800", {}, "Unicode"),
        (f"{PREFIX}/{'x' * 2040}", {}, "bytes"),
        (f"{PREFIX}/a", {"template": "pump"}, "missing: model"),
        (f"{PREFIX}/a", {"template": "none"}, "no published template"),
        (f"{PREFIX}/a", {"template": "pump@2"}, "no published template"),
        (f"{PREFIX}/a", {"attributes": {"model": "A"}}, "of a template"),
        (f"{PREFIX}/a", {"template": "pump", "attributes": {"model": "A", "colour": "red"}}, "colour: unknown"),
        (f"{PREFIX}/a", {"template": "pump", "attributes": {"model": "A", "power": "-1"}}, "power: too-small"),
        (f"{PREFIX}/a", {"template": "pump", "values": (HandleValue(2000, "URL", b"x"),)}, "index 2000 is model"),
        (f"{PREFIX}/a", {"template": "pump", "values": (HandleValue(2000, "model", b"\xff"),)}, "UTF-8"),
        (f"{PREFIX}/a", {"values": (URL, URL)}, "twice"),
        (f"{PREFIX}/a", {"values": (HandleValue(0, "URL", b""),)}, "an index is"),
        (f"{PREFIX}/a", {"values": (HandleValue(2**32, "URL", b""),)}, "an index is"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "", b""),)}, "a type is"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "\ud800", b""),)}, "a type is"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "URL", b"", ttl=-1),)}, "a TTL is"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "URL", b"", ttl_type=2),)}, "a TTL is"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "URL", b"", permissions=16),)}, "permissions"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "URL", bytes(MAX_VALUE_BYTES + 1)),)}, "at most"),
        (f"{PREFIX}/a", {"values": (HandleValue(1, "URL", b"", references=(Reference("a", -1),)),)}, "reference"),
        (f"{PREFIX}/a", {"values": tuple(HandleValue(n, "URL", b"") for n in range(1, 1002))}, "1,000 values"),
        (f"{PREFIX}/a", {"values": tuple(HandleValue(n, "U", bytes(200_000)) for n in range(1, 4))}, "a record has"),
        (f"{PREFIX}/a", {"indexes": (1,)}, "indexes"),
    ],
)
async def test_odd_input_is_refused_and_changes_nothing(
    tmp_path: Path, handle: str, fields: dict[str, object], detail: str
) -> None:
    async with identifiers(tmp_path) as node:
        outcomes = await node.identifiers.write(
            [Write(operation=PUT, handle=handle, **fields), Write(operation=CREATE, handle=f"{PREFIX}/ok")]  # pyright: ignore[reportArgumentType]
        )
        assert outcomes[0].code is WriteCode.INVALID
        assert detail in outcomes[0].detail
        # Each item stands for itself.
        assert outcomes[1] == Outcome(WriteCode.CREATED)
        assert node.identifiers.handles(PREFIX) == [f"{PREFIX}/ok"]


async def test_a_value_at_an_attributes_index_is_the_attribute(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        handle = f"{PREFIX}/a"
        await node.create(handle, model="A")
        changed = HandleValue(2001, "power", b"007.50")
        assert (await node.write(Operation.ADD_VALUES, handle, values=(changed,))).done
        assert node.values(handle) == {2000: "A", 2001: "7.50"}
        refused = await node.write(Operation.MODIFY_VALUES, handle, values=(HandleValue(2001, "power", b"much"),))
        assert refused.code is WriteCode.INVALID
        # With a TTL of its own it keeps that.
        short = HandleValue(2001, "power", b"8", ttl=5)
        assert (await node.write(Operation.MODIFY_VALUES, handle, values=(short,))).done
        found = node.found(handle)
        assert [(value.index, value.data, value.ttl) for value in found] == [(2000, b"A", 86_400), (2001, b"8", 5)]
        missing = await node.write(Operation.REMOVE_VALUES, handle, indexes=(2000,))
        assert (missing.code, missing.detail) == (WriteCode.INVALID, "missing: model")


async def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    clock = iter(range(1000, 9000, 1000))
    async with identifiers(tmp_path, now=lambda: next(clock)) as node:
        handle = f"{PREFIX}/a"
        assert (await node.create(handle, URL, model="A")).code is WriteCode.CREATED
        before = node.found(handle)
        again = await node.write(PUT, handle, template="pump", attributes={"model": "A"}, values=(URL,))
        assert again.code is WriteCode.UNCHANGED
        assert node.found(handle) == before
        # A value that is added beside it has a time stamp of its own.
        await node.write(Operation.ADD_VALUES, handle, values=(HandleValue(2, "EMAIL", b"a"),))
        stamps = {value.index: value.timestamp for value in node.found(handle)}
        assert stamps[1] < stamps[2]
        # Of two values of which one is as it was, the other has changed.
        email = HandleValue(2, "EMAIL", b"b")
        assert (await node.write(Operation.MODIFY_VALUES, handle, values=(URL, email))).code is WriteCode.REPLACED
        later = {value.index: value.timestamp for value in node.found(handle)}
        assert later[1] == stamps[1]
        assert later[2] > stamps[2]


async def test_the_same_handle_several_times_in_a_batch(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:

        def pump(operation: Operation, handle: str, model: str) -> Write:
            return Write(operation=operation, handle=handle, template="pump", attributes={"model": model})

        one, same = f"{PREFIX}/a", f"{PREFIX}/a"
        writes = [
            pump(CREATE, one, "A"),
            pump(CREATE, same, "B"),
            pump(PUT, same, "C"),
            Write(operation=DELETE, handle=same),
            pump(PUT, one, "D"),
            pump(CREATE, one, "E"),
            pump(PUT, one, "D"),
        ]
        # Those that wait are one group; each batch sees the one before.
        done = await asyncio.gather(*(node.identifiers.write(part) for part in (writes[:3], writes[3:])))
        assert [outcome.code for part in done for outcome in part] == [
            WriteCode.CREATED,
            WriteCode.ALREADY_EXISTS,
            WriteCode.REPLACED,
            WriteCode.DELETED,
            WriteCode.CREATED,
            WriteCode.ALREADY_EXISTS,
            WriteCode.UNCHANGED,
        ]
        assert node.values(one) == {2000: "D"}
        assert node.identifiers.counts()[PREFIX].total == 1
        assert (await node.identifiers.recount()).wrong == ()


async def test_states_of_a_prefix(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        handle = "99.1000.A/x"
        await node.add_prefix("99.1000.a")
        assert (await node.create(handle, model="A")).done
        await node.add_prefix("99.1000.a", state=PrefixState.SUSPENDED)
        assert (await node.create("99.1000.a/y")).code is WriteCode.PREFIX_SUSPENDED
        assert node.values(handle) == {2000: "A"}
        await node.add_prefix("99.1000.a", state=PrefixState.REVOKED)
        assert (await node.create("99.1000.a/y")).code is WriteCode.PREFIX_UNKNOWN
        assert node.values(handle) is None
        assert node.identifiers.handles("99.1000.a") == []
        await node.add_prefix("99.1000.a", state=PrefixState.ACTIVE)
        assert node.values(handle) == {2000: "A"}
        assert (await node.create("99.1000.a/x")).code is WriteCode.ALREADY_EXISTS


async def test_values_of_prefixes_are_records_of_their_own(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        admin, key = HandleValue(100, "HS_ADMIN", b"admin"), HandleValue(300, "HS_SECKEY", b"secret")
        child = await node.add_prefix("99.1000.a", admin)
        await node.identifiers.set_delegation(Delegation(name="99.1000.D", values=(URL,)))
        assert node.values("0.na/99.1000.A") == {100: "admin"}
        assert (await node.write(Operation.ADD_VALUES, "0.NA/99.1000.A", values=(key,))).code is WriteCode.REPLACED
        assert (await node.write(PUT, "0.NA/99.1000.d", values=(admin,))).code is WriteCode.REPLACED
        assert (await node.write(DELETE, "0.NA/99.1000.a")).code is WriteCode.DENIED
        assert (await node.write(CREATE, "0.NA/99.1000.b")).code is WriteCode.PREFIX_UNKNOWN
        assert node.values("0.NA/99.1000.a") == {100: "admin", 300: "secret"}
        found = node.identifiers.lookup(node.name("99.1000.d.5/x"))
        assert isinstance(found, Elsewhere)
        assert [value.data for value in found.values] == [b"admin"]
        # What it was granted with is not taken again, neither now nor at a start.
        await node.identifiers.set_prefix(child)
        assert node.values("0.NA/99.1000.a") == {100: "admin", 300: "secret"}
        assert "0.NA" not in node.identifiers.counts()
    async with identifiers(tmp_path, prefixes=[child]) as node:
        assert node.values("0.NA/99.1000.a") == {100: "admin", 300: "secret"}
        assert (await node.identifiers.recount()).wrong == ()


async def test_quota_is_exact(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_prefix("99.1", quota=5)
        await node.add_class(model="{suffix}")
        done = await node.identifiers.write([Write(operation=CREATE, handle=f"99.1/{n}") for n in range(3)])
        assert all(outcome.done for outcome in done)
        with pytest.raises(Exception, match="at most"):
            await node.identifiers.define_range("99.1", "{0..5}", 1)
        # Three of them are there already.
        assert (await node.identifiers.define_range("99.1", "{0..4}", 1)).new == 5
        assert (await node.create("99.1/9")).code is WriteCode.QUOTA
        assert (await node.create("99.1/4")).code is WriteCode.ALREADY_EXISTS
        assert (await node.write(PUT, "99.1/4")).code is WriteCode.REPLACED
        both = [Write(operation=DELETE, handle="99.1/4"), Write(operation=CREATE, handle="99.1/9")]
        assert [outcome.code for outcome in await node.identifiers.write([*both, both[1]])] == [
            WriteCode.DELETED,
            WriteCode.CREATED,
            WriteCode.ALREADY_EXISTS,
        ]
        assert node.identifiers.counts()["99.1"].total == 5
        assert (await node.identifiers.recount()).wrong == ()


async def test_who_may_is_asked_with_what_is_there(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        handle, asked = f"{PREFIX}/a", list[tuple[str, int | None, str]]()

        def allowed(name: object, values: object, write: Write) -> bool:
            asked.append((str(name), None if values is None else len(values), threading.current_thread().name))  # pyright: ignore[reportArgumentType]
            return write.operation is not DELETE

        writes = [
            Write(operation=CREATE, handle=handle, values=(URL,)),
            Write(operation=DELETE, handle=handle),
            Write(operation=PUT, handle=handle),
        ]
        codes = [outcome.code for outcome in await node.identifiers.write(writes, allowed=allowed)]
        assert codes == [WriteCode.CREATED, WriteCode.DENIED, WriteCode.REPLACED]
        assert asked == [(handle, None, "identifiers"), (handle, 1, "identifiers"), (handle, 1, "identifiers")]

        def fails(*_: object) -> bool:
            raise RuntimeError("broken")

        # What fails is its batch alone, and nothing of it is done.
        first = node.identifiers.write([Write(operation=CREATE, handle=f"{PREFIX}/b")])
        second = node.identifiers.write([Write(operation=DELETE, handle=handle)], allowed=fails)
        third = node.identifiers.write([Write(operation=CREATE, handle=f"{PREFIX}/c")])
        done = await asyncio.gather(first, second, third, return_exceptions=True)
        assert isinstance(done[1], RuntimeError)
        assert [done[0], done[2]] == [[Outcome(WriteCode.CREATED)]] * 2
        assert node.identifiers.handles(PREFIX) == [f"{PREFIX}/{suffix}" for suffix in "abc"]


async def test_watchers_hear_before_the_writer(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        told: list[tuple[set[str], set[str]]] = []
        node.identifiers.watch(lambda handles, prefixes: told.append((set(handles), set(prefixes))))
        await node.create(f"{PREFIX}/工")
        assert told == [({f"{PREFIX}/工"}, set())]
        await node.create(f"{PREFIX}/工")
        assert len(told) == 1
        await node.add_prefix("99.b")
        await node.write(PUT, "0.NA/99.b", values=(URL,))
        assert told[1:] == [(set(), {"99.B"}), ({"0.NA/99.B"}, {"99.B"})]


async def test_limits_of_a_batch(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        write = Write(operation=DELETE, handle=f"{PREFIX}/x")
        assert await node.identifiers.write([]) == []
        for writes, key, reason in (
            ([write] * (MAX_BATCH + 1), b"", WriteReason.TOO_MANY),
            ([write], bytes(MAX_KEY + 1), WriteReason.KEY_TOO_LONG),
        ):
            with pytest.raises(BatchError) as raised:
                await node.identifiers.write(writes, key=key)
            assert raised.value.reason is reason
        # More may not wait at once; what waits is done.
        waiting = [asyncio.ensure_future(node.identifiers.write([write] * MAX_BATCH)) for _ in range(8)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [error.reason for error in done if isinstance(error, BatchError)]
        assert set(refused) <= {WriteReason.BUSY}
        assert len(refused) < 8
    with pytest.raises(BatchError) as raised:
        await node.identifiers.write([write])
    assert raised.value.reason is WriteReason.CLOSED


async def test_a_batch_over_several_shards_again(tmp_path: Path) -> None:
    async with identifiers(tmp_path, shards=3) as node:
        for name in ("99.b", "99.c"):
            await node.add_prefix(name)
        writes = [
            Write(operation=CREATE, handle=f"{prefix}/{n}")
            for n in range(3)
            for prefix in (PREFIX, "99.b", "99.c", "99.d")
        ]
        first = await node.identifiers.write(writes, key=b"k")
        assert [outcome.code for outcome in first] == ([WriteCode.CREATED] * 3 + [WriteCode.PREFIX_UNKNOWN]) * 3
        # It is answered as it was, though the last prefix is known now.
        await node.add_prefix("99.d")
        await node.write(DELETE, "99.b/1")
        assert await node.identifiers.write(writes, key=b"k") == first
        assert [count.total for count in node.identifiers.counts().values()] == [3, 2, 3, 0]
