"""What must be true of a tree after the chaos, as a pure function of what was found; it says what is not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gongfu.tree.orders.combined import NOTHING, TERMINAL, Registers, Shown, shown
from gongfu.tree.orders.types import State, driver_key

Cells = Mapping[tuple[str, ...], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Issued:
    """An order that was issued: id, node that issued it, its targets, deadline (UTC ns)."""

    id: str
    issuer: str
    targets: tuple[str, ...]
    deadline: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of a driver's log: the target that wrote it, the idempotency key."""

    target: str
    key: str


@dataclass
class Found:
    """What was found when everything was quiet again.

    Attributes:
        orders: that were issued.
        ways: target → nodes from the root to the target.
        registers: node → (order, target) → registers, as that node knows them.
        received: (order, target) → when the target received it, UTC ns; of those it received.
        effects: of all drivers, in order.
        totals: node → report kind → cells of its subtree, as the node says.
        recounts: node → report kind → the same, counted at the leaves.
        waiting: (node, neighbour) → messages in the outbox.
        conflicts: nodes that did not answer, or whatever else went wrong while looking.
    """

    orders: Sequence[Issued] = ()
    ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    registers: Mapping[str, Mapping[tuple[str, str], Registers]] = field(
        default_factory=dict[str, Mapping[tuple[str, str], Registers]]
    )
    received: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    effects: Sequence[Effect] = ()
    totals: Mapping[str, Mapping[str, Cells]] = field(default_factory=dict[str, Mapping[str, Cells]])
    recounts: Mapping[str, Mapping[str, Cells]] = field(default_factory=dict[str, Mapping[str, Cells]])
    waiting: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    conflicts: Sequence[str] = ()


# States in which the driver must not have been called.
_WITHOUT_EFFECT = frozenset({Shown.REFUSED, Shown.EXPIRED, Shown.REVOKED, Shown.UNDELIVERABLE, Shown.FAILED})


def violations(found: Found) -> list[str]:
    """Return in words everything that is not as it must be; empty when all is well."""
    return [*_registers(found), *_effects(found), *_aggregates(found), *_outboxes(found), *found.conflicts]


def _registers(found: Found) -> list[str]:
    """Every order is in one terminal state for each target, and every level from the issuer down says the same."""
    wrong: list[str] = []
    for order in found.orders:
        for target in order.targets:
            way = found.ways[target]
            own = found.registers[target].get((order.id, target), NOTHING)
            if shown(own) not in TERMINAL:
                wrong.append(f"order {order.id} at {target} is {shown(own)}, which is not the end")
            if own.execution_conflict or own.verdict_conflict:
                wrong.append(f"order {order.id} at {target} has two contents of one revision")
            for node in way[way.index(order.issuer) : -1]:
                said = found.registers[node].get((order.id, target), NOTHING)
                if said != own:
                    wrong.append(
                        f"order {order.id} at {target}: {node} says {_words(said)}, the target itself {_words(own)}"
                    )
    return wrong


def _words(registers: Registers) -> str:
    execution, verdict = registers.execution, registers.verdict
    return f"{shown(registers)}/{execution.revision if execution else 0}/{verdict.revision if verdict else 0}"


def _effects(found: Found) -> list[str]:
    """No effect twice, none of an order that came too late, and each where the registers say so."""
    wrong: list[str] = []
    counted = Counter(effect.key for effect in found.effects)
    wrong += [f"effect {key} was brought about {count} times" for key, count in counted.items() if count > 1]
    expected = {driver_key(order.id, target): target for order in found.orders for target in order.targets}
    for effect in found.effects:
        if expected.get(effect.key) != effect.target:
            wrong.append(f"effect {effect.key} at {effect.target}, which no order is for")
    for order in found.orders:
        for target in order.targets:
            effects = counted[driver_key(order.id, target)]
            registers = found.registers[target].get((order.id, target), NOTHING)
            state = shown(registers)
            received = found.received.get((order.id, target))
            if effects and received is None:
                wrong.append(f"effect of order {order.id} at {target}, which never received it")
            elif effects and received is not None and received > order.deadline:
                wrong.append(f"effect of order {order.id} at {target}, which received it after its deadline")
            claimed = registers.execution.state if registers.execution else State.ISSUED
            if effects and state in _WITHOUT_EFFECT:
                wrong.append(f"order {order.id} at {target} is {state} and has an effect")
            if not effects and (state is Shown.VERIFIED or claimed is State.EXECUTED):
                wrong.append(f"order {order.id} at {target} is {state} and has no effect")
    return wrong


def _aggregates(found: Found) -> list[str]:
    """Every level's totals are a full recount of the leaves below it."""
    wrong: list[str] = []
    for node, kinds in found.recounts.items():
        for kind, cells in kinds.items():
            said = found.totals.get(node, {}).get(kind, {})
            wrong += [
                f"{kind} {keys} at {node}: {said.get(keys)}, counted {cells.get(keys)}"
                for keys in sorted({*cells, *said})
                if said.get(keys) != cells.get(keys)
            ]
    return wrong


def _outboxes(found: Found) -> list[str]:
    return [f"{count} messages from {node} to {peer} wait" for (node, peer), count in found.waiting.items() if count]
