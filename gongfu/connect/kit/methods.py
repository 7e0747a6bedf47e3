"""Methods of a machine: what they take, what they gave back. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from gongfu.connect.kit.types import DriverError, Reason, Value


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of a method.

    Attributes:
        name: the machine's own.
        type_name: type as the machine calls it (``Double``, ``UInt16``), ``""`` unknown.
        array: it is a list of such values.
        description: in words.
    """

    name: str
    type_name: str = ""
    array: bool = False
    description: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.type_name or '?'}{'[]' if self.array else ''}"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a method takes and gives, in order; ``name`` is the machine's own of the method, "" unknown."""

    inputs: list[Argument] = msgspec.field(default_factory=list[Argument])
    outputs: list[Argument] = msgspec.field(default_factory=list[Argument])
    name: str = ""

    def __str__(self) -> str:
        given = f" -> {', '.join(map(str, self.outputs))}" if self.outputs else ""
        return f"({', '.join(map(str, self.inputs))}){given}"


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One value that a method gave back; ``fault`` says what is wrong with it, by the thing model of the asset."""

    name: str
    value: Any
    type_name: str = ""
    fault: str = ""


@runtime_checkable
class Calling(Protocol):
    """A driver of a machine with methods."""

    async def signature(self, method: str) -> Signature:
        """Return what a method (``Node.where``) takes and gives.

        Raises:
            DriverError: there is no such method, or the connection failed.
        """
        ...

    async def call_method(self, owner: str, method: str, arguments: Sequence[Value]) -> list[Output]:
        """Call a method of an object (``""``: the one that has it) and return what it gave.

        Raises:
            DriverError: there is no such method, an argument does not fit, or the machine refused.
        """
        ...


def in_order(given: Sequence[Value] | Mapping[str, Value], signature: Signature, method: str) -> list[Value]:
    """Return arguments, given in order or by name, in order.

    Raises:
        DriverError: some are missing, or too many.
    """
    names = [argument.name for argument in signature.inputs]
    if isinstance(given, Mapping):
        wrong = [f"no {name!r}" for name in names if name not in given]
        wrong += [f"{name!r} is none of its arguments" for name in given if name not in names]
        if not wrong:
            return [given[name] for name in names]
        what = f"{method} takes {signature}: {'; '.join(wrong)}."
    elif len(given) == len(names):
        return list(given)
    else:
        what = f"{method} takes {len(names)} arguments, {signature}, not {len(given)}."
    raise DriverError(Reason.TYPE_MISMATCH, what, "Give one value for each of its arguments, in order or by name.")
