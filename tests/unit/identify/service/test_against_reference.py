"""Identifiers against a reference that has every identifier by itself: ranges, holes, overrides, deletion, registration
again, values with TTL, batches sent twice, restarts, copies; on one shard and on several."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.types import ClassRecord, Prefix, PrefixState
from gongfu.identify.records.keys import Count
from gongfu.identify.service.contents import Directory
from gongfu.identify.service.figures import By
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Operation, Outcome, Write, WriteCode, WriteReason
from gongfu.identify.templates.types import Attribute, Template, TemplateState

T = TypeVar("T")
TEMPLATE = Template(
    name="part",
    attributes=(Attribute(name="model", index=2000, required=True), Attribute(name="note", index=2001)),
    state=TemplateState.PUBLISHED,
)
CLASSES = [ClassRecord(number=n, template=1, attributes=((0, f"class-{n}"), (1, "{suffix}"))) for n in (1, 2)]
NAMES = ["99.1.a", "99.1.b", "99.1.c"]
# Two patterns that meet in A07B3, and the same numbers written with a longer head.
SPANS = st.one_of(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(
        lambda e: (f"A{{{min(e):02d}..{max(e):02d}}}B3", "A{}B3", 2, *sorted(e))
    ),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda e: (f"A07B{{{min(e)}..{max(e)}}}", "A07B{}", 1, *sorted(e))
    ),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda e: (f"A0{{{min(e)}..{max(e)}}}B3", "A0{}B3", 1, *sorted(e))
    ),
)
SUFFIXES = st.sampled_from(["A07B3", "A00B3", "A05B3", "A12B3", "A13B3", "A07B1", "a07B3", "工/?#%", "A7B3"])
VALUES = st.builds(
    HandleValue,
    index=st.integers(1, 3),
    type=st.sampled_from(["URL", "EMAIL"]),
    data=st.sampled_from([b"", b"x", "泵".encode()]),
    ttl_type=st.sampled_from([TtlType.RELATIVE, TtlType.ABSOLUTE]).map(int),
    ttl=st.sampled_from([0, 60, 86_400, 2**32 - 1]),
    permissions=st.sampled_from([0x0E, 0x0C]),
)
SOME = st.lists(VALUES, max_size=3, unique_by=lambda value: value.index).map(tuple)
TEXTS = st.dictionaries(st.sampled_from(["model", "note"]), st.sampled_from(["", "M", "泵"]), max_size=2)
WRITES = st.builds(
    lambda prefix, suffix, **fields: Write(handle=f"{prefix}/{suffix}", **fields),
    prefix=st.sampled_from([*NAMES, "99.1.A", "99.1.z"]),
    suffix=SUFFIXES,
    operation=st.sampled_from(Operation),
    template=st.sampled_from(["", "part", "part@1", "none"]),
    attributes=TEXTS,
    values=SOME,
    indexes=st.lists(st.sampled_from([1, 2, 2000, 2001]), max_size=2).map(tuple),
    overwrite=st.booleans(),
)


class Reference:
    """Every identifier by itself: values by index, or the class it is a member of."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[int, HandleValue]] = {}
        self.templated: set[tuple[str, str]] = set()
        self.members: dict[tuple[str, str], int] = {}
        self.states = dict.fromkeys(NAMES, PrefixState.ACTIVE)
        self.answered: dict[bytes, tuple[list[Write], list[WriteCode]]] = {}

    def values(self, name: tuple[str, str]) -> dict[int, HandleValue] | None:
        if name in self.records:
            return self.records[name]
        if name not in self.members:
            return None
        texts = {2000: ("model", f"class-{self.members[name]}"), 2001: ("note", name[1])}
        return {index: HandleValue(index, kind, text.encode()) for index, (kind, text) in texts.items()}

    def write(self, write: Write) -> WriteCode:
        prefix, _, suffix = write.handle.partition("/")
        name = prefix.lower(), suffix
        state = self.states.get(name[0], PrefixState.REVOKED)
        if state is not PrefixState.ACTIVE:
            return WriteCode.PREFIX_SUSPENDED if state is PrefixState.SUSPENDED else WriteCode.PREFIX_UNKNOWN
        present = self.values(name)
        match write.operation:
            case Operation.DELETE:
                if present is None:
                    return WriteCode.NOT_FOUND
                self.records.pop(name, None)
                self.members.pop(name, None)
                self.templated.discard(name)
                return WriteCode.DELETED
            case Operation.CREATE | Operation.PUT:
                if write.operation is Operation.CREATE and present is not None and not write.overwrite:
                    return WriteCode.ALREADY_EXISTS
                templated, wanted = bool(write.template), self.given(write)
                fault = write.template == "none" or write.indexes or (write.attributes and not templated)
                if fault or (templated and 2000 not in wanted):
                    return WriteCode.INVALID
                return self.put(name, wanted, templated, present)
            case _:
                if present is None:
                    return WriteCode.NOT_FOUND
                return self.change(name, write, present)

    def change(self, name: tuple[str, str], write: Write, present: dict[int, HandleValue]) -> WriteCode:
        templated = name in self.templated or name not in self.records
        wanted = self.given(write)
        if write.template and (write.template == "none" or not templated):
            return WriteCode.INVALID
        if write.operation is Operation.REMOVE_VALUES:
            if wanted or not write.indexes:
                return WriteCode.INVALID
            if any(index not in present for index in write.indexes):
                return WriteCode.VALUE_NOT_FOUND
            left = {index: value for index, value in present.items() if index not in write.indexes}
        else:
            if write.indexes or (write.attributes and not templated) or not wanted:
                return WriteCode.INVALID
            if write.operation is Operation.MODIFY_VALUES and any(index not in present for index in wanted):
                return WriteCode.VALUE_NOT_FOUND
            if write.operation is Operation.ADD_VALUES and not write.overwrite and present.keys() & wanted.keys():
                return WriteCode.VALUE_ALREADY_EXISTS
            left = present | wanted
        if templated and 2000 not in left:
            return WriteCode.INVALID
        return self.put(name, left, templated, present)

    def put(
        self,
        name: tuple[str, str],
        wanted: dict[int, HandleValue],
        templated: bool,
        present: dict[int, HandleValue] | None,
    ) -> WriteCode:
        same = self.records.get(name) == wanted and (name in self.templated) == templated
        self.records[name] = wanted
        (self.templated.add if templated else self.templated.discard)(name)
        return WriteCode.UNCHANGED if same else WriteCode.CREATED if present is None else WriteCode.REPLACED

    @staticmethod
    def given(write: Write) -> dict[int, HandleValue]:
        indexes = {"model": 2000, "note": 2001}
        attributes = {indexes[n]: HandleValue(indexes[n], n, text.encode()) for n, text in write.attributes.items()}
        return attributes | {value.index: value for value in write.values}

    def count(self, prefix: str) -> Count:
        explicit = {name for name in self.records if name[0] == prefix}
        members = {name for name in self.members if name[0] == prefix}
        return Count(len(explicit), len(members), len(explicit & members))


class AgainstReference(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.reference = Reference()
        self.now = 1_700_000_000
        self.path = Path(self.directory.name) / "0"
        self.copies = 0
        self.told: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(shards=st.sampled_from([1, 2]))
    def open(self, shards: int = 1) -> None:
        prefixes = [
            Prefix(number=n, name=name, state=self.reference.states[name], enterprise=f"E{n % 2}")
            for n, name in enumerate(NAMES, 1)
        ]
        directory = Directory(prefixes=prefixes, templates={1: TEMPLATE}, classes=CLASSES)
        options = {"shards": shards, "cache_bytes": 1 << 20, "now": lambda: self.now}
        self.store = self.run(Identifiers.open(self.path, directory, **options))
        self.store.watch(lambda handles, prefixes: self.told.update(handles, prefixes))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    @rule(writes=st.lists(WRITES, min_size=1, max_size=5), key=st.sampled_from([b"", b"", b"1", b"2"]))
    def write(self, writes: list[Write], key: bytes) -> None:
        if key in self.reference.answered:
            again, codes = self.reference.answered[key]
            assert [outcome.code for outcome in self.run(self.store.write(again, key=key))] == codes
            with pytest.raises(BatchError) as raised:
                self.run(self.store.write([*again, *writes], key=key))
            assert raised.value.reason is WriteReason.KEY_REUSED
            return
        self.now += 1
        wanted = [self.reference.write(write) for write in writes]
        found: list[Outcome] = self.run(self.store.write(writes, key=key))
        assert [outcome.code for outcome in found] == wanted, found
        if key:
            self.reference.answered[key] = writes, wanted
        for write, outcome in zip(writes, found, strict=True):
            if outcome.done and outcome.code is not WriteCode.UNCHANGED:
                assert parse_handle(write.handle).key in self.told

    @rule(prefix=st.sampled_from(NAMES), span=SPANS, of=st.sampled_from([1, 2]), move=st.booleans())
    def define(self, prefix: str, span: tuple[str, str, int, int, int], of: int, move: bool) -> None:
        if self.reference.states[prefix] is not PrefixState.ACTIVE:
            return
        text, form, width, first, last = span
        names = [(prefix, form.format(f"{number:0{width}d}")) for number in range(first, last + 1)]
        members = self.reference.members
        present = [name for name in names if name in members]
        moved = [name for name in present if move and members[name] != of]
        done = self.run(self.store.define_range(prefix, text, of, move=move))
        assert (done.new, done.present, done.moved) == (len(names) - len(present), len(present), len(moved))
        members |= {name: of for name in names if move or name not in members}

    @rule(prefix=st.sampled_from(NAMES), span=SPANS)
    def remove(self, prefix: str, span: tuple[str, str, int, int, int]) -> None:
        if self.reference.states[prefix] is not PrefixState.ACTIVE:
            return
        text, form, width, first, last = span
        names = {(prefix, form.format(f"{number:0{width}d}")) for number in range(first, last + 1)}
        gone = names & self.reference.members.keys()
        assert self.run(self.store.remove_range(prefix, text)) == len(gone)
        for name in gone:
            del self.reference.members[name]

    @rule(prefix=st.sampled_from(NAMES), state=st.sampled_from(PrefixState))
    def decide(self, prefix: str, state: PrefixState) -> None:
        self.reference.states[prefix] = state
        known = self.store.namespace.prefixes[prefix.upper()]
        self.run(self.store.set_prefix(msgspec.structs.replace(known, state=state)))

    @rule(copy=st.booleans())
    def restart(self, copy: bool) -> None:
        if copy:
            self.copies += 1
            path = Path(self.directory.name) / str(self.copies)
            self.run(self.store.backup(path))
            self.path = path
        self.run(self.store.close())
        self.open()

    @rule()
    def forget(self) -> None:
        assert self.run(self.store.forget_batches(self.now)) <= 2 * len(self.reference.answered)
        self.run(self.store.forget_batches(self.now + 1))
        self.reference.answered.clear()

    @invariant()
    def equal(self) -> None:
        reference = self.reference
        for prefix in NAMES:
            for suffix in [
                "A07B3",
                "A7B3",
                "a07B3",
                "工/?#%",
                *[f"A{n:02d}B3" for n in range(14)],
                *[f"A07B{n}" for n in range(10)],
            ]:
                found = self.store.lookup(parse_handle(f"{prefix.upper()}/{suffix}"))
                wanted = reference.values((prefix, suffix))
                if wanted is None or reference.states[prefix] is PrefixState.REVOKED:
                    assert not isinstance(found, Found)
                else:
                    assert isinstance(found, Found)
                    values = {value.index: msgspec.structs.replace(value, timestamp=0) for value in found.values}
                    assert values == wanted
        wanted_counts = {prefix: reference.count(prefix) for prefix in NAMES}
        assert self.store.counts() == wanted_counts
        again = self.run(self.store.recount())
        assert again.wrong == ()
        assert {NAMES[number - 1]: count for number, count in again.counts.items()} == {
            prefix: count for prefix, count in wanted_counts.items() if count != Count()
        }
        figures = self.store.statistics(By.ENTERPRISE)
        live = [prefix for prefix in NAMES if reference.states[prefix] is not PrefixState.REVOKED]
        assert sum(item.total for item in figures.values()) == sum(wanted_counts[prefix].total for prefix in live)
        assert sum(item.prefixes for item in figures.values()) == len(live)
        for prefix in live:
            suffixes = sorted(name[1] for name in reference.records if name[0] == prefix)
            assert self.store.handles(prefix) == [f"{prefix}/{suffix}" for suffix in suffixes]


AgainstReference.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestAgainstReference = AgainstReference.TestCase
