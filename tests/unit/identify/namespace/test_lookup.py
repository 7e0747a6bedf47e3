"""From handles to values."""

import pytest

from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix, PrefixState
from gongfu.identify.ranges.chunks import EMPTY
from gongfu.identify.ranges.pattern import parse_range
from gongfu.identify.ranges.series import Series, pieces, register, remove
from gongfu.identify.records.form import StoredRecord, encode_record
from gongfu.identify.templates.types import Attribute, Template

PUMP = Template(
    name="pump",
    attributes=(
        Attribute(name="link", index=2001),
        Attribute(name="model", index=2000),
        Attribute(name="price", index=2002, public=False),
    ),
)
SITE = HandleValue(1, "HS_SITE", b"site")
SPAN = parse_range("M{0001..0099}")


class Store:
    def __init__(self, records: dict[tuple[int, bytes], bytes]) -> None:
        self._records = records

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        return self._records.get((prefix, suffix))


@pytest.fixture
def namespace() -> Namespace:
    series = Series(SPAN.pattern)
    (chunk, first, last), *_ = pieces(SPAN)
    registered, _ = register(EMPTY, first, last, 7, move=False)
    series.apply({chunk: remove(registered, 50, 50)})
    records = Store(
        {
            (1, b"M0007"): encode_record(StoredRecord(3, 5, ((1, b"own"),))),
            (1, b"key"): encode_record(StoredRecord(values=(SITE,))),
            (2, b"a"): encode_record(StoredRecord(values=(SITE,))),
        }
    )
    return Namespace(
        records,
        prefixes={
            "99.1.A": Prefix(number=1, name="99.1.a", values=(SITE,)),
            "99.1.OLD": Prefix(number=2, name="99.1.old", state=PrefixState.REVOKED),
            "99.1.SLOW": Prefix(number=2, name="99.1.slow", state=PrefixState.SUSPENDED),
        },
        delegations={
            "99.2": Delegation(name="99.2", values=(SITE,)),
            "99.2.1.1": Delegation(name="99.2.1.1"),
            "99.3": Delegation(name="99.3", state=PrefixState.REVOKED),
        },
        templates={3: PUMP},
        classes={7: ClassRecord(number=7, template=3, attributes=((0, "http://x/{suffix}?{number}"), (1, "P")))},
        ranges={1: {SPAN.pattern: series}},
        above=lambda name: Elsewhere("0.NA/0.NA") if name.prefix.startswith("88") else Nowhere(),
    )


def look(namespace: Namespace, handle: str) -> list[tuple[int, bytes]] | str | None:
    found = namespace.lookup(parse_handle(handle))
    if isinstance(found, Found):
        return [(value.index, value.data) for value in found.values]
    return found.handle if isinstance(found, Elsewhere) else None


@pytest.mark.parametrize(
    ("handle", "found"),
    [
        ("99.1.a/M0008", [(2000, b"P"), (2001, b"http://x/M0008?0008")]),
        ("99.1.A/M0099", [(2000, b"P"), (2001, b"http://x/M0099?0099")]),
        # A record of its own answers in the place of the class.
        ("99.1.a/M0007", [(2000, b"own")]),
        ("99.1.a/M0050", None),
        ("99.1.a/M0100", None),
        ("99.1.a/m0008", None),
        ("99.1.a/M008", None),
        ("99.1.a/key", [(1, b"site")]),
        ("99.1.a/none", None),
        ("99.1.old/a", None),
        ("99.1.slow/a", [(1, b"site")]),
        ("0.na/99.1.A", [(1, b"site")]),
        ("0.NA/99.2", [(1, b"site")]),
        ("0.NA/99.1.old", None),
        ("0.NA/99.2.5", "0.NA/99.2"),
        ("99.2/x", "0.NA/99.2"),
        ("99.2.1/x", "0.NA/99.2"),
        ("99.2.1.1/x", "0.NA/99.2.1.1"),
        ("99.3.1/x", None),
        ("99.1.a.b/x", None),
        ("88.1/x", "0.NA/0.NA"),
        ("77.1/x", None),
    ],
)
def test_lookup(namespace: Namespace, handle: str, found: list[tuple[int, bytes]] | str | None) -> None:
    assert look(namespace, handle) == found


def test_what_is_private_stays_so() -> None:
    store = Store({(1, b"a"): encode_record(StoredRecord(3, 0, ((2, b"7"), (0, b"u"))))})
    namespace = Namespace(store, prefixes={"9": Prefix(number=1, name="9")}, templates={3: PUMP})
    found = namespace.lookup(HandleName("9", "a"))
    assert isinstance(found, Found)
    assert [(value.type, bool(value.permissions & 2)) for value in found.values] == [("link", True), ("price", False)]


def test_a_record_of_a_lost_template_is_an_error_not_an_empty_answer() -> None:
    store = Store({(1, b"a"): encode_record(StoredRecord(3, 0, ((0, b"u"),)))})
    with pytest.raises(LookupError):
        Namespace(store, prefixes={"9": Prefix(number=1, name="9")}).lookup(HandleName("9", "a"))
