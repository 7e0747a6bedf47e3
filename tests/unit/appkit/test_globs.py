"""Globs of apps mean what they mean in rules, and no glob takes long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.globs import asset_glob, point_glob
from gongfu.reason.rules.patterns import asset_pattern, point_pattern

PIECES = st.lists(st.sampled_from(["*", "**", "?", "a", "b", "/", "a", "\\*", "."]), max_size=7)
NAMES = st.lists(st.text("ab/*.", max_size=10), min_size=1, max_size=20)


@settings(max_examples=1500)
@given(PIECES, NAMES)
def test_they_match_what_the_rules_match(pieces: list[str], names: list[str]) -> None:
    pattern = "".join(pieces)
    for name in [*names, "".join(pieces).replace("*", "a")]:
        assert (asset_glob(pattern).fullmatch(name) is None) == (asset_pattern(pattern).fullmatch(name) is None)
        assert (point_glob(pattern).fullmatch(name) is None) == (point_pattern(pattern).fullmatch(name) is None)


@pytest.mark.parametrize("piece", ["**", "*", "**?", "*a", "**a", "**/", "**a*", "*/**"])
def test_a_hostile_glob_takes_no_time(piece: str) -> None:
    pattern, name = piece * 60 + "!", "plant/line-1/cell-2/pump-17/motor" + "a" * 400
    began = time.process_time()
    assert asset_glob(pattern).fullmatch(name) is None
    assert point_glob(pattern).fullmatch(name) is None
    assert time.process_time() - began < 1.0
