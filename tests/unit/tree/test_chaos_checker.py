"""The checker of the chaos test finds each thing that it is there to find."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.tree.chaos_checker import Effect, Found, Issued, violations
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.types import Execution, Finding, State, Verdict

ROOT, MIDDLE, LEFT, RIGHT = "root", "middle", "left", "right"
ORDER = Issued("order-1", ROOT, (LEFT, RIGHT), deadline=100)


def registers(
    target: str, state: State = State.EXECUTED, finding: Finding = Finding.VERIFIED, last: int = 4
) -> Registers:
    claim = last if state in (State.EXECUTED, State.FAILED) else 0
    verdict = Verdict("order-1", target, finding, 1, 60, target, claim) if claim else None
    return Registers(Execution("order-1", target, state, last, 50, target, 1, claim), verdict)


def sound() -> Found:
    known = {("order-1", LEFT): registers(LEFT), ("order-1", RIGHT): registers(RIGHT, State.EXPIRED)}
    return Found(
        orders=(ORDER,),
        ways={LEFT: (ROOT, MIDDLE, LEFT), RIGHT: (ROOT, MIDDLE, RIGHT)},
        registers={
            ROOT: known,
            MIDDLE: known,
            LEFT: {("order-1", LEFT): known["order-1", LEFT]},
            RIGHT: {("order-1", RIGHT): known["order-1", RIGHT]},
        },
        received={("order-1", LEFT): 40, ("order-1", RIGHT): 140},
        effects=(Effect(LEFT, "order-1/left"),),
        totals={ROOT: {"devices": {("32",): {"devices": 5}}}},
        recounts={ROOT: {"devices": {("32",): {"devices": 5}}}},
        waiting={(ROOT, MIDDLE): 0},
    )


def with_registers(found: Found, node: str, target: str, changed: Registers | None) -> Found:
    of_node = {key: value for key, value in found.registers[node].items() if key != ("order-1", target)}
    if changed is not None:
        of_node["order-1", target] = changed
    return replace(found, registers={**found.registers, node: of_node})


def everywhere(found: Found, target: str, changed: Registers) -> Found:
    for node in found.ways[target]:
        found = with_registers(found, node, target, changed)
    return found


def test_a_sound_tree_has_no_violations() -> None:
    assert violations(sound()) == []
    # A driver that was killed after its effect: the target says failed, the probe saw the effect.
    interrupted = everywhere(sound(), LEFT, registers(LEFT, State.FAILED, Finding.CONTRADICTED))
    assert violations(interrupted) == []


CASES: dict[str, tuple[Callable[[Found], Found], str]] = {
    "executed twice": (
        lambda found: replace(found, effects=(*found.effects, Effect(LEFT, "order-1/left"))),
        "brought about 2 times",
    ),
    "executed after its deadline": (
        lambda found: replace(found, received={("order-1", LEFT): 101, ("order-1", RIGHT): 140}),
        "received it after its deadline",
    ),
    "executed and expired": (
        lambda found: replace(found, effects=(*found.effects, Effect(RIGHT, "order-1/right"))),
        "is expired and has an effect",
    ),
    "effect at another node": (
        lambda found: replace(found, effects=(*found.effects, Effect(RIGHT, "order-1/middle"))),
        "which no order is for",
    ),
    "effect that is not there": (lambda found: replace(found, effects=()), "has no effect"),
    "executed, and no effect, and the probe saw it": (
        lambda found: replace(
            everywhere(found, LEFT, registers(LEFT, State.EXECUTED, Finding.CONTRADICTED)), effects=()
        ),
        "is contradicted and has no effect",
    ),
    "never received": (
        lambda found: replace(found, received={("order-1", RIGHT): 140}),
        "which never received it",
    ),
    "register lost at the root": (lambda found: with_registers(found, ROOT, LEFT, None), "root says issued/0/0"),
    "register old in the middle": (
        lambda found: with_registers(found, MIDDLE, LEFT, registers(LEFT, last=3)),
        "middle says verified/3/1",
    ),
    "register lost at the target": (lambda found: with_registers(found, LEFT, LEFT, None), "which is not the end"),
    "not at its end": (
        lambda found: everywhere(found, LEFT, registers(LEFT, State.EXECUTING, last=3)),
        "is executing, which is not the end",
    ),
    "two contents": (
        lambda found: everywhere(found, LEFT, replace_conflict(registers(LEFT))),
        "two contents of one revision",
    ),
    "total counts a device twice": (
        lambda found: replace(found, totals={ROOT: {"devices": {("32",): {"devices": 6}}}}),
        "{'devices': 6}, counted {'devices': 5}",
    ),
    "total lacks a cell": (lambda found: replace(found, totals={ROOT: {}}), "None, counted"),
    "total has a cell too many": (lambda found: replace(found, recounts={ROOT: {"devices": {}}}), "counted None"),
    "outbox stuck": (lambda found: replace(found, waiting={(ROOT, MIDDLE): 3}), "3 messages from root to middle wait"),
    "node is silent": (lambda found: replace(found, conflicts=("left does not answer",)), "left does not answer"),
}


def replace_conflict(of: Registers) -> Registers:
    return Registers(of.execution, of.verdict, execution_conflict=True)


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_found(name: str) -> None:
    change, words = CASES[name]
    found = violations(change(sound()))
    assert any(words in violation for violation in found), found
