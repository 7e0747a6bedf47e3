"""Ranges of a node: what several patterns have in common counts once, records make overrides, odd ones are refused."""

from pathlib import Path
from typing import Any

import pytest

from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.ranges.pattern import RangeError
from gongfu.identify.ranges.series import Registered
from gongfu.identify.records.keys import Count
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.figures import By, Figures
from gongfu.identify.service.range_changes import RangeWish
from gongfu.identify.service.writes import Operation, Write, WriteCode
from tests.fixtures.identifiers import PREFIX, identifiers


async def test_what_two_patterns_have_in_common_counts_once(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        store = node.identifiers
        await node.add_class(1, model="one")
        await node.add_class(2, model="two")
        assert await store.define_range(PREFIX, "A{00..99}-5", 1) == Registered(100, 0)
        # A07-5 is there.
        assert await store.define_range(PREFIX, "A07-{0..9}", 2) == Registered(9, 1)
        assert node.values(f"{PREFIX}/A07-5") == {2000: "one"}
        assert node.values(f"{PREFIX}/A07-6") == {2000: "two"}
        assert await store.define_range(PREFIX, "A07-{4..6}", 2, move=True) == Registered(0, 3, 1)
        assert node.values(f"{PREFIX}/A07-5") == {2000: "two"}
        # It has a record of its own, then neither.
        await node.create(f"{PREFIX}/A07-5", model="own")
        assert (await node.write(Operation.PUT, f"{PREFIX}/A07-5", template="pump", attributes={"model": "own"})).done
        assert store.counts()[PREFIX] == Count(1, 109, 1)
        # Removed by the pattern that it was not registered by; the record stays.
        assert await store.remove_range(PREFIX, "A07-{0..9}") == 10
        assert node.values(f"{PREFIX}/A07-5") == {2000: "own"}
        assert store.counts()[PREFIX] == Count(1, 99, 0)
        assert (await store.recount()).wrong == ()
        # Again, as a member with a record.
        assert await store.define_range(PREFIX, "A0{7..7}-5", 1) == Registered(1, 0)
        assert store.counts()[PREFIX] == Count(1, 100, 1)
        assert (await node.write(Operation.DELETE, f"{PREFIX}/A07-5")).code is WriteCode.DELETED
        assert node.values(f"{PREFIX}/A07-5") is None
        assert store.counts()[PREFIX] == Count(0, 99, 0)
        assert (await store.recount()).wrong == ()


async def test_records_within_a_new_range_are_its_overrides(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_class(model="M")
        names = ["工0", "工1", "工00", "工65535", "工65536", "工99999", "工099999", "工x", "1工", "工00001x", "二00001"]
        await node.identifiers.write([Write(operation=Operation.CREATE, handle=f"{PREFIX}/{name}") for name in names])
        assert (await node.identifiers.define_range(PREFIX, "工{00000..99998}", 1)).new == 99_999
        assert node.identifiers.counts()[PREFIX] == Count(11, 99_999, 2)
        (figures,) = node.identifiers.ranges(PREFIX)
        assert (str(figures.span), figures.registered, figures.overrides) == ("工{00000..99998}", 99_999, 2)
        assert node.identifiers.range_count == 1
        assert node.values(f"{PREFIX}/工65536") == {}
        assert node.values(f"{PREFIX}/工65537") == {2000: "M"}
        assert (await node.identifiers.recount()).wrong == ()


async def test_values_of_a_member_begin_with_those_of_its_class(tmp_path: Path) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_class(model="IS-{number:2}", link="https://example.net/{suffix}")
        await node.identifiers.define_range(PREFIX, "P{000..999}", 1)
        change = await node.write(Operation.ADD_VALUES, f"{PREFIX}/P007", template="pump", attributes={"power": "5"})
        assert change.code is WriteCode.REPLACED
        assert node.values(f"{PREFIX}/P007") == {2000: "IS-07", 2001: "5", 2003: "https://example.net/P007"}
        assert node.values(f"{PREFIX}/P008") == {2000: "IS-08", 2003: "https://example.net/P008"}
        # The class changes; who has a record of its own does not.
        await node.add_class(model="new")
        assert node.values(f"{PREFIX}/P008") == {2000: "new"}
        assert node.values(f"{PREFIX}/P007") == {2000: "IS-07", 2001: "5", 2003: "https://example.net/P007"}


@pytest.mark.parametrize(
    ("prefix", "text", "of", "error"),
    [
        (PREFIX, "nothing", 1, "range-malformed"),
        (PREFIX, "A{1..5}6", 1, "range-not-last-digits"),
        (PREFIX, "A{1..5}", 2, "no class 2"),
        ("99.none", "A{1..5}", 1, "99.none"),
        ("99.slow", "A{1..5}", 1, "99.slow"),
        ("99.gone", "A{1..5}", 1, "99.gone"),
    ],
)
async def test_odd_ranges_are_refused(tmp_path: Path, prefix: str, text: str, of: int, error: str) -> None:
    async with identifiers(tmp_path) as node:
        await node.add_class(model="M")
        await node.add_prefix("99.slow", state=PrefixState.SUSPENDED)
        await node.add_prefix("99.gone", state=PrefixState.REVOKED)
        refused: Any = (Refused, RangeError)
        with pytest.raises(refused) as raised:
            await node.identifiers.define_range(prefix, text, of)
        assert error in f"{raised.value}"
        # All or nothing.
        with pytest.raises(refused):
            await node.identifiers.define_ranges([RangeWish(PREFIX, "B{1..5}", 1), RangeWish(prefix, text, of)])
        assert node.identifiers.ranges(PREFIX) == []
        assert node.identifiers.failure == ""
        if of == 1:
            with pytest.raises(refused):
                await node.identifiers.remove_range(prefix, text)


async def test_figures_by_whose_they_are(tmp_path: Path) -> None:
    async with identifiers(tmp_path, shards=2) as node:
        await node.add_class(model="M")
        wishes: list[RangeWish] = []
        for number in range(6):
            industry = "C34" if number % 2 else "C35"
            await node.add_prefix(f"99.{number}", enterprise=f"E{number % 3}", industry=industry, region="3702")
            wishes.append(RangeWish(f"99.{number}", "{000000..099999}", 1))
        assert {done.new for done in await node.identifiers.define_ranges(wishes)} == {100_000}
        # The same again is no more, and one is deleted.
        assert {done.new for done in await node.identifiers.define_ranges(wishes)} == {0}
        await node.write(Operation.DELETE, "99.0/000005")
        await node.create("99.1/own")
        statistics = node.identifiers.statistics
        assert statistics(By.ENTERPRISE) == {
            "E0": Figures(0, 199_999, 2),
            "E1": Figures(1, 200_000, 2),
            "E2": Figures(0, 200_000, 2),
            "Example Works": Figures(0, 0, 1),
        }
        assert statistics(By.INDUSTRY) == {"C34": Figures(1, 300_000, 4), "C35": Figures(0, 299_999, 3)}
        assert statistics(By.REGION)["3702"].total == 600_000
        await node.add_prefix("99.0", state=PrefixState.REVOKED, enterprise="E0")
        assert statistics(By.ENTERPRISE)["E0"] == Figures(0, 100_000, 1)
        assert node.identifiers.counts()["99.0"].total == 99_999
