"""Rules as YAML: there and back exactly, and errors with their lines."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.reason.rules.documents import parse_rules, write_rules
from gongfu.reason.rules.service import draft_of
from gongfu.reason.rules.types import Kind, Priority, RuleBody

TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30).filter(str.isprintable)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
CONDITIONS = st.one_of(
    st.tuples(st.just(Kind.THRESHOLD), st.fixed_dictionaries({"direction": st.just("above"), "limit": NUMBER})),
    st.tuples(st.just(Kind.ABSENCE), st.fixed_dictionaries({"timeout_s": st.floats(0.001, 1000)})),
    st.tuples(
        st.just(Kind.PATTERN),
        st.fixed_dictionaries({"sequence": st.just(["a > 1", '"no: # yes" < 2']), "within_s": st.just(3.0)}),
    ),
)


@st.composite
def bodies(draw: st.DrawFn) -> RuleBody:
    kind, condition = draw(CONDITIONS)
    return RuleBody(
        name=draw(st.one_of(TEXT, st.sampled_from(["yes", "null", "1.0", "2026-01-01", "*x", "- a", "水温 > 90"]))),
        kind=kind,
        asset=draw(TEXT.map(lambda text: text.strip("/") or "a")),
        point="" if kind is Kind.PATTERN else draw(TEXT),
        condition=condition,
        lateness_s=draw(st.sampled_from([None, 0.0, 1.5])),
        priority=draw(st.sampled_from(list(Priority))),
        message=draw(st.one_of(st.just(""), TEXT)),
        enabled=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(bodies(), min_size=1, max_size=3, unique_by=lambda body: body.name))
def test_what_is_written_is_read_again(rules: list[RuleBody]) -> None:
    # As the API gives them: with all members of their conditions.
    rules = [draft_of(1, rule).body() for rule in rules]
    text = write_rules(rules)
    assert [draft_of(1, rule).body() for rule in parse_rules(text.encode())] == rules
    assert write_rules(parse_rules(text.encode())) == text


RULE = """\
- name: hot
  kind: threshold
  asset: plant/*
  point: temp
  condition:
    direction: above
    limit: 90
"""


def test_lists_documents_and_a_member_rules() -> None:
    (one,) = parse_rules(RULE.encode())
    assert (one.name, one.condition["limit"], one.priority) == ("hot", 90, Priority.MEDIUM)
    several = RULE.replace("- ", "  ", 1).replace("\n  ", "\n").lstrip() + "---\n" + RULE.replace("hot", "cold")
    assert [rule.name for rule in parse_rules(several.encode())] == ["hot", "cold"]
    assert parse_rules(("rules:\n" + RULE).encode()) == [one]


def changed(**changes: Any) -> bytes:
    text = RULE
    for old, new in changes.items():
        text = re.sub(rf"(?m)^(\s*(?:- )?){old}:.*$", rf"\g<1>{new}", text)
    return text.encode()


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (changed(limit="limit: high"), 7, "limit"),
        (changed(limit="limits: 90"), 7, "limits"),
        (changed(direction="direction: over"), 6, "direction"),
        (changed(kind="kind: treshold"), 2, "kind"),
        (changed(point="pint: temp"), 4, "pint"),
        (changed(name="name: [a]"), 1, "name"),
        (changed(name='name: "\\\\ud800"'), 1, "character"),
        (changed(name='name: "a\\\\0"'), 1, "character"),
        (changed(point='"\\\\udc00": temp'), 4, "character"),
        (changed(limit="limit: .nan"), 7, "finite"),
        (changed(limit="limit: 90\n    deadband: -1"), 8, "deadband"),
        (changed(asset="asset: /plant"), 3, "slash"),
        (changed(asset="asset: &a plant").replace(b"temp", b"*a"), 4, "references"),
        (RULE.encode() + RULE.encode(), 8, "twice, first in line 1"),
        (changed(limit="limit: 90\n    limit: 91"), 8, "there twice"),
        (b"- name: [", 1, "expected|while"),
        (b"- 3\n", 1, "a rule has members"),
        (b"", 1, "no rules"),
        (b"- name: a\n  \xff: 1\n", 2, "UTF-8"),
        (
            b"- name: p\n  kind: pattern\n  asset: a\n  condition:\n    within_s: 3\n    sequence:\n"
            b"    - a > 1\n    - b >\n",
            8,
            r"sequence\[1\]: position 4",
        ),
        (b"- name: !!python/object/apply:os.system [ls]\n  kind: threshold\n", 1, "name"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_line(content: bytes, line: int, words: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_rules(content)
    assert caught.value.detail.startswith(f"line {line}: "), caught.value.detail
    assert re.search(words, caught.value.detail), caught.value.detail


def test_deep_and_long_files_are_refused() -> None:
    deep = "- name: a\n  kind: threshold\n  condition: " + "{a: " * 100 + "1" + "}" * 100
    with pytest.raises(Problem, match="without end"):
        parse_rules(deep.encode())
    with pytest.raises(Problem, match="bytes"):
        parse_rules(b"#" * 5_000_000)


def test_a_rule_as_json_is_the_rule_as_yaml() -> None:
    (rule,) = parse_rules(RULE.encode())
    assert parse_rules(msgspec.json.encode([msgspec.to_builtins(rule)])) == [rule]


@pytest.mark.parametrize("content", [b"[" * 3000 + b"]" * 3000, b"{a: " * 2000 + b"1" + b"}" * 2000])
def test_what_is_nested_without_end_is_refused(content: bytes) -> None:
    with pytest.raises(Problem, match=r"line 1: .* without end"):
        parse_rules(content)
