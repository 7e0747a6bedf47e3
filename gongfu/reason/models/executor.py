"""What computes rows: a process behind walls, as a rule; a function of this process in tests and test kits."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from gongfu.reason.models.sandbox.types import FailureReason, ModelFailure, Outcome, Rows
from gongfu.reason.models.types import Column, ModelDefinition


class Executor(Protocol):
    """Computes the rows of one model version; ``sandbox.process.ModelProcess`` is one."""

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        """Return outputs and states; with ``states=False`` it may keep states, and give HELD for them.

        Raises:
            ModelFailure: see there.
        """
        ...

    async def states(self, assets: list[int]) -> list[bytes | None]:
        """Take out the states that it keeps for assets; those of others are let go.

        Raises:
            ModelFailure: see there.
        """
        ...

    async def close(self) -> None:
        """End it."""
        ...


class Unavailable:
    """Stands for a model whose artifact cannot be loaded: every call is refused with the reason."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        """See ``Executor``; raises REFUSED."""
        raise ModelFailure(FailureReason.REFUSED, self._detail)

    async def states(self, assets: list[int]) -> list[bytes | None]:
        """See ``Executor``; raises REFUSED."""
        raise ModelFailure(FailureReason.REFUSED, self._detail)

    async def close(self) -> None:
        """See ``Executor``."""


class ModelOutputError(ValueError):
    """The function did not return what its ports promise."""


class InProcess:
    """A declared function, called in this process: without limits, hence only for code that is trusted."""

    def __init__(self, definition: ModelDefinition) -> None:
        self._definition = definition

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        """See ``Executor``; raises RAISED or SHAPE."""
        n = len(rows.times)
        for column in (*rows.columns.values(), rows.dt):
            column.flags.writeable = False
        try:
            with np.errstate(all="ignore"):
                columns = checked(self._definition, self._definition.function(rows.columns, rows.dt), n)
        except ModelOutputError as error:
            raise ModelFailure(FailureReason.SHAPE, str(error)) from None
        except Exception as error:  # whatever a model raises
            raise ModelFailure(FailureReason.RAISED, f"{type(error).__name__}: {error}"[:300]) from error
        return Outcome(columns, [None] * len(rows.assets), 0.0, {}, {})

    async def states(self, assets: list[int]) -> list[bytes | None]:
        """See ``Executor``; it keeps none."""
        return [None] * len(assets)

    async def close(self) -> None:
        """See ``Executor``."""


def checked(definition: ModelDefinition, results: Any, n: int) -> dict[str, Column]:
    """Return the columns a function returned, as float64[n].

    Raises:
        ModelOutputError: a column is missing or has another shape.
        ValueError: a column holds no numbers.
    """
    if not isinstance(results, Mapping):
        raise ModelOutputError(f"returned {type(results).__name__}, not columns by output name")
    found: dict[str, Column] = {}
    for port in definition.outputs:
        if port.name not in results:
            raise ModelOutputError(f"returned no column {port.name}")
        column = np.asarray(results[port.name], dtype=np.float64)
        if column.shape != (n,):
            raise ModelOutputError(f"column {port.name} has shape {column.shape}, not ({n},)")
        found[port.name] = column
    return found
