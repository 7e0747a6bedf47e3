"""Expressions answer as RE2 does, whichever engine it is."""

import importlib
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.templates.patterns import PatternError, compile_pattern

RE2: Any = importlib.import_module("re2")
PIECES = st.sampled_from(
    ["a", "B", "0", "-", " ", "_", "[a-f]", "[0-9a-f]", "[A-Z0-9_ ]", "{2}", "{16}", "+", "*", "[z-a]", ".", "|", "$"]
)
TEXTS = st.text(st.sampled_from("aAbBfz09-_ \n１é.|"), max_size=6)


@given(st.lists(PIECES, min_size=1, max_size=5).map("".join), TEXTS)
def test_same_as_re2(expression: str, text: str) -> None:
    try:
        compiled = compile_pattern(expression)
    except PatternError:
        return
    options = RE2.Options()
    options.log_errors = False
    assert (compiled.fullmatch(text) is None) == (RE2.compile(expression, options).fullmatch(text) is None)


def test_simple_ones_are_pythons() -> None:
    for expression in ("[0-9a-f]{16}", "A[0-9]+", "SN-[A-Z0-9_]*", "abc"):
        assert isinstance(compile_pattern(expression), re.Pattern)
    for expression in ("a+a+", "(a|b)", "[^a]", "\\d", ".", "a{2,3}", "a?", "a{2}+", "[0-9]+[0-9]", "泵"):
        try:
            assert not isinstance(compile_pattern(expression), re.Pattern)
        except PatternError:
            assert expression == "a{2}+"
