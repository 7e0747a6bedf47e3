"""Whole numbers beyond 64 bits are told by name before anything is asked of the records."""

from typing import Annotated, Any

import msgspec
import pytest

from gongfu.web.whole_numbers import check_whole_numbers


class Inner(msgspec.Struct):
    rule_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    other: int | None = None


class Body(msgspec.Struct):
    inner: list[Inner] = []
    ids: tuple[int, ...] = ()
    limit: float | int = 0
    free: dict[str, Any] = {}
    named: Inner = msgspec.field(default_factory=Inner, name="as")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"{}", ""),
        (b'{"inner": [{}, {"rule_id": 9223372036854775807, "other": -9223372036854775808}]}', ""),
        (b'{"inner": [{}, {"rule_id": 9223372036854775808}]}', "rule_id"),
        (b'{"inner": [{}, {"other": -9223372036854775809}]}', "other"),
        (b'{"as": {"other": 50775923499931959296}}', "other"),
        (b'{"ids": [1, 99999999999999999999]}', "ids"),
        # An unsigned bound of a thing model, a document of somebody else.
        (b'{"limit": 18446744073709551615, "free": {"n": 18446744073709551615}}', ""),
    ],
)
def test_the_first_that_is_beyond_is_named(raw: bytes, name: str) -> None:
    assert check_whole_numbers(raw, msgspec.json.decode(raw, type=Body)) == name
