"""The store of 7,150,000,000 identifiers, a thousand times smaller: built, looked into, counted anew, opened again."""

from pathlib import Path

from benchmarks.identifier import billions, inventory


async def test_a_thousandth(tmp_path: Path) -> None:
    rows = {row.name.partition(": ")[2]: row for row in await billions.build(tmp_path, 1000, True)}
    assert rows["counted"].value == 7_150_000
    assert rows["with a record of their own"].value == 100_000
    # Files have a dictionary each, which weighs more here than in the whole.
    for name in ("a record of 7 attributes on the disk", "a member of a range on the disk", "on the disk"):
        assert rows[name].met, rows[name]


def test_the_whole_has_so_many() -> None:
    sizes = [
        last - first + 1
        for enterprise in range(inventory.ENTERPRISES)
        for first, last in (inventory.members(enterprise, place) for place in range(inventory.RANGES))
    ]
    assert sum(sizes) + inventory.ENTERPRISES * inventory.RECORDS == 7_150_000_000
    assert min(sizes) > 40_000
