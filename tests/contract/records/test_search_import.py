"""Search against a slow scan, and import of many devices, on both databases."""

import itertools
import json
from typing import Any

import pytest

from gongfu.registry import text_search
from gongfu.store.records.engine import reading
from tests.contract.records.conftest import Node


def line(number: int, **more: Any) -> bytes:
    attributes = {"line": number % 4, "site": f"site {number % 3}", "serial": f"SN_{number:03d}", "名": "泵"}
    document = {"name": f"meter-{number:03d}", "asset": f"plant/l{number % 4}/m{number:03d}", "attributes": attributes}
    return json.dumps({**document, **more}).encode()


def names(node: Node, search: str) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while True:
        items, after = node.registry.devices.page(node.admin, after, 7, search=search)
        found += [item.name for item in items]
        if after is None:
            return found


@pytest.mark.parametrize("few", [2000, 3])
def test_search_is_a_slow_scan(node: Node, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(text_search, "FEW", few)
    answer = node.registry.device_import.add(node.admin, [line(number) for number in range(40)])
    assert (answer.created, answer.failed, len(answer.secrets)) == (40, 0, 40)
    for text in ("meter-01", "METER-0", "plant/l3", "SN_00", "site 1", "泵", "%", "_0", "zz", "SNx"):
        expected = [
            f"meter-{n:03d}"
            for n in range(40)
            if any(
                text.lower() in part.lower()
                for part in (f"meter-{n:03d}", f"plant/l{n % 4}/m{n:03d}", json.loads(line(n))["attributes"]["serial"],
                             f"site {n % 3}", "泵")
            )
        ]  # fmt: skip
        assert names(node, text) == expected, text
    assert names(node, "attributes.line=3") == [f"meter-{n:03d}" for n in range(40) if n % 4 == 3]
    both = [f"meter-{n:03d}" for n in range(40) if n % 4 == 3 and n % 3 == 1]
    assert names(node, 'attributes.line=3 attributes.site="site 1"') == both
    assert names(node, "attributes.line=33") == names(node, "attributes.lin=3") == []
    assert len(node.registry.assets.page(node.admin, None, 100, search="attributes.line=0")) == 10


def test_attributes_that_many_have_are_found_by_the_index(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_search, "FEW", 4)
    monkeypatch.setattr(text_search, "_LOOKED_AT", 4)
    lines = [line(n, attributes={"line": n % 40, "site": f"site {n % 39}", "level": f"lv {n % 7}"}) for n in range(160)]
    assert node.registry.device_import.add(node.admin, lines).created == 160
    with reading(node.engine) as connection:
        tenant = node.admin.tenant

        def hits(search: str) -> int | None:
            found = text_search.device_hits(connection, tenant, search)
            return None if found is None else len(found)

        # Many have line 30 to 39, or a site 10 to 19; few have both line 3 and site 1.
        assert hits("attributes.line=3") == 4
        assert hits('attributes.line=3 attributes.site="site 3"') == 1
        assert hits('attributes.line=3 attributes.level="lv 3"') == 1
        # The value is frequent at another attribute: nobody need be looked at.
        assert hits('attributes.nothing="lv 3"') == 0
        assert hits('attributes.level="lv 3"') is None


def test_points_of_one_shape_are_those_of_single_lines(node: Node) -> None:
    importer = node.registry.device_import
    shared = {'温度 "t"': "double", "état": "boolean", "n": "int64"}
    lines = [line(n, points=shared) for n in range(6)]
    lines += [line(n, points={"n": "int64", f"own {n}": "string"}) for n in range(6, 9)]
    assert importer.add(node.admin, lines).created == 9
    # An asset that has one of the points already keeps it.
    again = [
        line(n, name=f"other-{n}", asset=f"plant/l{n % 4}/m{n:03d}", points={**shared, "n": "double"}) for n in range(6)
    ]
    assert importer.add(node.admin, again).created == 6
    items, _ = node.registry.points.page(node.admin, None, 1000)
    found: dict[str, dict[str, str]] = {}
    for item in sorted(items, key=lambda item: item.series):
        found.setdefault(item.asset_path, {})[item.name] = item.type
    assert all(found[f"plant/l{n % 4}/m{n:03d}"] == shared for n in range(6))
    assert all(found[f"plant/l{n % 4}/m{n:03d}"] == {"n": "int64", f"own {n}": "string"} for n in range(6, 9))
    # Ids of the points of an asset follow each other, in the order of the line.
    of_first = sorted((item.series, item.name) for item in items if item.asset_path == "plant/l0/m000")
    assert [name for _, name in of_first] == list(shared)
    assert of_first[-1][0] - of_first[0][0] == 2


def test_import_again_and_errors_by_line(node: Node) -> None:
    importer = node.registry.device_import
    first = importer.add(node.admin, [line(1, points={"t": "double"}), b"", b"{oops", line(2, points={"t": "decimal"})])
    assert (first.created, first.existing, first.failed) == (1, 0, 2)
    assert [error.line for error in first.errors] == [3, 4]
    again = importer.add(node.admin, [line(1), line(2, secret_hash="0" * 64), line(2)], first_line=11)
    assert (again.created, again.existing, again.failed) == (1, 1, 1)
    assert [error.line for error in again.errors] == [13]
    assert again.secrets == []
    items, _ = node.registry.points.page(node.admin, None, 10)
    assert [(item.asset_path, item.name, item.type) for item in items] == [("plant/l1/m001", "t", "double")]
    ids = [item.id for item in node.registry.devices.page(node.admin, None, 10)[0]]
    assert len(ids) == 2
    assert all(one != other for one, other in itertools.combinations(ids, 2))
