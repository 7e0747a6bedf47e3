"""What machines of a cluster share: who wins, and who can read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.node.shared_files.merging import merge
from gongfu.node.shared_files.sealing import Seal, UnsealError, derived_key

FILES = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"))


@pytest.mark.parametrize(
    ("here", "there", "agreed", "expected"),
    [
        ("1", "1", "", "agreed"),
        ("1", "", "", "push"),
        ("2", "1", "1", "push"),
        ("", "1", "1", "drop"),
        ("", "1", "", "pull"),
        ("1", "2", "1", "pull"),
        ("", "2", "1", "pull"),
        # Both have changed it: what is in the records was read by others already.
        ("3", "2", "1", "pull"),
        ("1", "2", "", "pull"),
        ("1", "", "1", "erase"),
        ("2", "", "1", "erase"),
    ],
)
def test_who_has_changed_a_file_wins(here: str, there: str, agreed: str, expected: str) -> None:
    found = merge(*({"x": digest} if digest else {} for digest in (here, there, agreed)))
    assert {name for name in ("push", "pull", "drop", "erase", "agreed") if getattr(found, name)} == {expected}


@given(FILES, FILES, FILES)
def test_two_comparisons_agree_on_everything(
    here: dict[str, str], there: dict[str, str], agreed: dict[str, str]
) -> None:
    todo = merge(here, there, agreed)
    for path, before in todo.push.items():
        assert there.get(path, "") == before
        there[path] = here[path]
    for path in todo.drop:
        del there[path]
    for path in todo.pull:
        here[path] = there[path]
    for path in todo.erase:
        del here[path]
    assert here == there
    again = merge(here, there, todo.agreed)
    assert again.agreed == here
    assert [again.push, again.pull, again.drop, again.erase] == [{}, [], {}, []]


def test_a_sealed_file_opens_with_its_key_at_its_place_only() -> None:
    seal = Seal(b"k" * 32)
    sealed = seal.close("notify/1", b"password")
    assert b"password" not in sealed
    assert seal.open("notify/1", sealed) == b"password"
    assert seal.close("notify/1", b"password") != sealed
    for other, place, content in (
        (Seal(b"j" * 32), "notify/1", sealed),
        (seal, "notify/2", sealed),
        (seal, "notify/1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (seal, "notify/1", b""),
    ):
        with pytest.raises(UnsealError):
            other.open(place, content)
    assert seal.digest(b"a") != Seal(b"j" * 32).digest(b"a")
    assert derived_key(b"k" * 32, "one") != derived_key(b"k" * 32, "two")
