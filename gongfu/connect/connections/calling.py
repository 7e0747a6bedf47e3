"""Calls of methods by the thing model: inputs before they go to the machine, outputs when they come back. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gongfu.connect.connections.types import Called
from gongfu.connect.kit.methods import Signature
from gongfu.thing.members import Fault


def by_name(given: Sequence[Any] | Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Return arguments by name; those in order get the names of the method, and what is beyond them a number."""
    if isinstance(given, Mapping):
        return dict(given)
    names = [argument.name for argument in signature.inputs]
    return {names[n] if n < len(names) else f"argument {n + 1}": value for n, value in enumerate(given)}


def outputs_of(called: Called) -> dict[str, Any]:
    """Return outputs by name."""
    return {output.name: output.value for output in called.outputs}


def marked(called: Called, faults: Sequence[Fault]) -> Called:
    """Return an answer with what is wrong in it; outputs to be rejected have no value any more."""
    if not faults:
        return called
    by_field: dict[str, Fault] = {}
    for fault in faults:
        by_field.setdefault(fault.name, fault)  # what is to be rejected comes first
    outputs = [
        output
        if (fault := by_field.get(output.name)) is None
        else msgspec.structs.replace(output, value=None if fault.policy == "reject" else output.value, fault=fault.text)
        for output in called.outputs
    ]
    return Called(outputs, [fault.text for fault in faults])
