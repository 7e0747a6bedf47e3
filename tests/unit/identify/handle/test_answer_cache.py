"""Answers that are kept until what they are about changes."""

from gongfu.identify.handle.answer_cache import AnswerCache


def test_an_answer_is_kept_until_its_handle_changes() -> None:
    kept = AnswerCache()
    kept.put(b"one", b"1", ("99/a",))
    kept.put(b"two", b"2", ("99/a", "99/b"))
    kept.put(b"three", b"3", ("99/b",))
    kept.forget(["99/a", "99/none"])
    assert [kept.get(request) for request in (b"one", b"two", b"three")] == [None, None, b"3"]
    kept.put(b"two", b"22", ("99/b",))
    kept.forget(["99/b"])
    assert [kept.get(request) for request in (b"one", b"two", b"three")] == [None, None, None]


def test_those_that_are_asked_for_outlive_those_that_are_not() -> None:
    kept = AnswerCache(most=20)
    kept.put(b"wanted", b"!", ("99/wanted",))
    for number in range(200):
        kept.put(b"%d" % number, b"x", (f"99/{number}",))
        assert kept.get(b"wanted") == b"!"
        assert len(kept) <= 20
    assert kept.get(b"0") is None
    kept.forget(["99/wanted"])
    assert kept.get(b"wanted") is None


def test_an_answer_of_the_old_generation_is_forgotten_too() -> None:
    kept = AnswerCache(most=4)
    for number in range(3):
        kept.put(b"%d" % number, b"x", (f"99/{number}",))
    kept.forget(["99/0"])
    assert kept.get(b"0") is None
    assert kept.get(b"1") == b"x"
    kept.clear()
    assert len(kept) == 0


def test_bytes_are_bounded() -> None:
    kept = AnswerCache(most_bytes=16_000)
    for number in range(1000):
        kept.put(b"%4d" % number, bytes(500), (f"99/{number}",))
    assert len(kept) * 504 <= 16_000 + 2 * 504
    kept.put(b"huge", bytes(2000), ("99/huge",))
    assert kept.get(b"huge") is None
