"""Globs mean what backtracking over all lengths finds, and no glob takes long, whatever the name."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit import globs as of_apps
from gongfu.kernel.errors import Problem
from gongfu.kernel.globs import MAX_GLOB, Places, asset_glob, point_glob
from gongfu.reason.rules import patterns as of_rules

PIECES = st.lists(st.sampled_from(["*", "**", "?", "a", "b", "/", "a", "\\*", "\\", ".", "\n", "é"]), max_size=7)
NAMES = st.lists(st.text("ab/*.\\\né", max_size=10), min_size=1, max_size=20)
_TOKEN = re.compile(r"\*\*|\*|\?|\\.|[^*?\\]+|\\", re.DOTALL)


def backtracking(pattern: str, one: str) -> re.Pattern[str]:
    """What the globs of rules were: every wildcard tries all lengths."""
    parts: list[str] = []
    for piece in _TOKEN.findall(pattern):
        if piece in ("*", "**"):
            parts.append(f"{'.' if piece == '**' else one}*")
        elif piece == "?":
            parts.append(one)
        else:
            parts.append(re.escape((piece[1:] or "\\") if piece.startswith("\\") else piece))
    return re.compile("".join(parts), re.DOTALL)


@settings(max_examples=600)
@given(PIECES, NAMES)
def test_they_match_what_all_lengths_match(pieces: list[str], names: list[str]) -> None:
    pattern = "".join(pieces)
    for one, glob in (("[^/]", asset_glob(pattern)), (".", point_glob(pattern))):
        wanted, places = backtracking(pattern, one), Places(pattern, one)
        for name in [*names, pattern.replace("*", "a"), pattern.replace("**", "a/b").replace("\\", "")]:
            found = wanted.fullmatch(name) is not None
            assert (glob.fullmatch(name) is not None) is found
            assert bool(glob.fullmatch(name)) is found
            assert (places.fullmatch(name) is not None) is found
            # Names that are too long for the expression: what is before the glob goes with a literal.
            long = "x" * 250 + name
            more = {"[^/]": asset_glob, ".": point_glob}[one]("x" * 250 + pattern)
            assert bool(more.fullmatch(long)) is found


def test_rules_and_apps_have_the_same() -> None:
    assert of_rules.asset_pattern("plant/*") is of_apps.asset_glob("plant/*") is asset_glob("plant/*")
    assert of_rules.point_pattern("t*") is of_apps.point_glob("t*") is point_glob("t*")


@pytest.mark.parametrize("piece", ["**", "*", "**?", "*a", "**a", "**/", "**a*", "*/**", "*a**b"])
@pytest.mark.parametrize("name", ["plant/line-1/cell-2/pump-17/motor" + "a" * 400, "ab" * 30_000, "a/" * 30_000])
def test_a_hostile_glob_takes_no_time(piece: str, name: str) -> None:
    pattern = piece * 60 + "!"
    began = time.process_time()
    assert asset_glob(pattern).fullmatch(name) is None
    assert point_glob(pattern).fullmatch(name) is None
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("make", [asset_glob, point_glob, of_rules.asset_pattern, of_apps.point_glob])
def test_a_glob_that_is_too_long_is_refused(make: object) -> None:
    assert callable(make)
    assert make("*" * MAX_GLOB).fullmatch("x")
    with pytest.raises(Problem, match=r"at most 1,000 characters; this one has 1,001"):
        make("a" * (MAX_GLOB + 1))
