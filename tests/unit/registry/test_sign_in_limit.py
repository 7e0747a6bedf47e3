import pytest

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.registry.sign_in_limit import SignInLimit

NOW = 1_000 * SECOND


def allowed(limit: SignInLimit, name: str, address: str, now: int = NOW) -> bool:
    try:
        limit.attempt(name, address, now)
    except Problem:
        return False
    return True


def test_sixth_try_of_a_name_from_an_address_is_refused() -> None:
    limit = SignInLimit()
    assert [allowed(limit, "a", "x") for _ in range(6)] == [True] * 5 + [False]
    assert allowed(limit, "a", "y")
    assert allowed(limit, "b", "x")


def test_refused_try_says_when_to_come_back() -> None:
    limit = SignInLimit()
    for _ in range(5):
        limit.attempt("a", "x", NOW)
    with pytest.raises(Problem) as raised:
        limit.attempt("a", "x", NOW + 100 * SECOND)
    assert (raised.value.status, raised.value.extra["retry_after"]) == (429, 201)
    assert allowed(limit, "a", "x", NOW + 301 * SECOND)


def test_success_forgets_the_failures() -> None:
    limit = SignInLimit()
    for _ in range(12):
        for _ in range(4):
            assert allowed(limit, "a", "x")
        limit.succeeded("a", "x")


def test_list_of_names_from_one_address_is_refused() -> None:
    limit = SignInLimit()
    assert sum(allowed(limit, f"user-{number}", "x") for number in range(100)) == 50


def test_successes_of_many_users_behind_one_address_are_no_failures() -> None:
    limit = SignInLimit()
    for number in range(200):
        assert allowed(limit, f"user-{number}", "x")
        limit.succeeded(f"user-{number}", "x")


def test_memory_is_bounded() -> None:
    limit = SignInLimit()
    for number in range(30_000):
        limit.attempt(f"user-{number}", f"address-{number}", NOW)
    assert len(limit._failures) <= 20_000  # pyright: ignore[reportPrivateUsage]
