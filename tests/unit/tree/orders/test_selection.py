import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.tree.orders.selection import (
    Listed,
    Member,
    Query,
    Selection,
    SelectionError,
    absent,
    meant,
    parse_selection,
    print_selection,
    resolve,
    with_section,
)
from tests.unit.tree.orders.nodes import ENTERPRISE, MEMBER, NATION, PROVINCE, SIBLING, SITE

OTHER = Member(SIBLING.id, (NATION.id,), "province", region="110000", industry="I65", size="small")


@pytest.mark.parametrize(
    ("text", "is_meant"),
    [
        ("all", True),
        ("tier:site", True),
        ("tier:enterprise", False),
        ("tier:enterprise,site", True),
        ("region:32", True),
        ("region:3201", True),
        ("region:320000", True),
        ("region:320100", True),
        ("region:320102", True),
        ("region:3202", False),
        ("region:11,32", True),
        ("industry:C", True),
        ("industry:C26", True),
        ("industry:26", True),
        ("industry:C2615", False),
        ("industry:D", False),
        ("size:large", True),
        ("size:small", False),
        ("attr.ministry:energy", True),
        ("attr.ministry:water,energy", True),
        ("attr.ministry:water", False),
        ("attr.owner:energy", False),
        (f"under:{PROVINCE.id}", True),
        (f"under:{SITE.id}", True),
        (f"under:{SIBLING.id}", False),
        (f"under:{SIBLING.id},{ENTERPRISE.id}", True),
        ("tier:site region:32 industry:C26 size:large", True),
        ("tier:site region:31 industry:C26 size:large", False),
        (f"id:{SITE.id}", True),
        (f"id:{SIBLING.id},{SITE.id}", True),
        (f"id:{SIBLING.id}", False),
    ],
)
def test_meant(text: str, is_meant: bool) -> None:
    selection = parse_selection(text)
    assert meant(selection, MEMBER) is is_meant
    assert (MEMBER in resolve(selection, [OTHER, MEMBER])) is is_meant


def test_what_is_not_known_of_a_member_is_not_meant_by_asking_for_it() -> None:
    nothing_known = Member(SITE.id, (), "site")
    for text in ("region:32", "industry:C", "size:large", "attr.ministry:energy"):
        assert not meant(parse_selection(text), nothing_known)


def test_ids_without_a_member_are_absent() -> None:
    listed = Listed((SIBLING.id, NATION.id, SIBLING.id))
    assert absent(listed, [MEMBER]) == [SIBLING.id, NATION.id]
    assert absent(listed, [OTHER]) == [NATION.id]
    assert absent(Query(), []) == []


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("  ", 0),
        ("tier", 4),
        ("tier:", 5),
        ("tier:site,", 10),
        ("teir:site", 0),
        ("tier:site  colour:red", 11),
        ("region:3", 7),
        ("region:32,3x", 10),
        ("region:000000", 7),
        ("industry:C2", 9),
        ("industry:c26", 9),
        ("industry:X", 9),
        ("under:abc", 6),
        (f"id:{SITE.id} tier:site", 28),
        (f"tier:site id:{SITE.id}", 0),
        ('tier:"site', 5),
        ('tier:""', 5),
        ('tier:"a\\n"', 7),
        ('tier:"a"b', 8),
        ("attr.:x", 5),
        ("attr.x", 6),
        ("all tier:site", 0),
        ("tier:" + "x" * 201, 5),
    ],
)
def test_errors_say_where(text: str, position: int) -> None:
    with pytest.raises(SelectionError) as error:
        parse_selection(text)
    assert error.value.position == position
    assert str(error.value).startswith(f"at character {position + 1}: ")


def test_a_list_is_at_most_a_thousand_ids() -> None:
    ids = [f"{number:a>24}".translate(str.maketrans("0189", "bcde")) for number in range(1001)]
    assert isinstance(parse_selection("id:" + ",".join(ids[:1000])), Listed)
    with pytest.raises(SelectionError, match="more than 1000"):
        parse_selection("id:" + ",".join(ids))


words = st.text(min_size=1, max_size=12)
ids = st.sampled_from([NATION.id, PROVINCE.id, ENTERPRISE.id, SITE.id, SIBLING.id])


def several(values: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, min_size=least, max_size=3, unique=True).map(tuple)


queries = st.builds(
    Query,
    under=several(ids),
    tiers=several(words),
    regions=several(st.sampled_from(["32", "3201", "320102", "11"])),
    industries=several(st.sampled_from(["C", "C26", "C2614", "I65"])),
    sizes=several(words),
    attributes=st.dictionaries(words, several(words, 1), max_size=3),
)
selections = st.one_of(queries, st.builds(Listed, several(ids, 1)))


@given(selections)
def test_text_and_json_say_the_same_selection(selection: Selection) -> None:
    assert parse_selection(print_selection(selection)) == selection
    encoded = msgspec.json.encode(selection)
    assert msgspec.json.decode(encoded, type=Selection) == selection


@given(st.text(alphabet='tierond:,"\\ 32.ab', max_size=30))
def test_any_text_is_a_selection_or_an_error_with_a_place(text: str) -> None:
    selection: Selection | None = None
    position = 0
    try:
        selection = parse_selection(text)
    except SelectionError as error:
        position = error.position
    assert 0 <= position <= len(text)
    assert selection is None or parse_selection(print_selection(selection)) == selection


def test_sections_of_the_divisions() -> None:
    firsts = {
        "01": "A",
        "06": "B",
        "13": "C",
        "43": "C",
        "44": "D",
        "47": "E",
        "51": "F",
        "53": "G",
        "61": "H",
        "63": "I",
    }
    firsts |= {"66": "J", "70": "K", "71": "L", "73": "M", "76": "N", "80": "O", "83": "P", "84": "Q", "86": "R"}
    firsts |= {"91": "S", "97": "T"}
    for division, section in firsts.items():
        assert with_section(division + "1") == section + division + "1"
    for same in ("C26", "C", "", "98", "00"):
        assert with_section(same) == same
