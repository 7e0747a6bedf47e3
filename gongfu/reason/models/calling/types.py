"""Calls of models: requests, answers, and how a request becomes rows. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.times import SECOND
from gongfu.kernel.units import UnitError, convert_factor
from gongfu.reason.models.sandbox.types import FailureReason, ModelFailure, Rows
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.types import Column

MAX_ROWS = 100_000
MAX_VALUES = 1_000_000
# A call is answered within so many seconds, with all it waits for: other calls, the start of a process, the model.
ANSWER_S = 110.0
# So that the model's own limit is what ends a call that did not have to wait.
MAX_WALL_S = 100.0

# What people can do about a failure.
_ADVICE = {
    FailureReason.TIMEOUT: "send fewer rows, or register a version with a longer limit wall_s",
    FailureReason.CPU: "send fewer rows, or register a version with a longer limit cpu_s",
    FailureReason.MEMORY: "send fewer rows, or register a version with a larger limit memory_bytes",
    FailureReason.CRASHED: "the model's own code crashed; try one row, and tell who made it",
    FailureReason.RAISED: "the model's own code refused these inputs; look at the detail, and try other values",
    FailureReason.SHAPE: "the model returned what its ports do not promise; tell who made it",
    FailureReason.REFUSED: "the artifact or the request does not fit; look at the detail",
    FailureReason.ENDED: "the model's process failed before and is started again after a pause; try again later",
    FailureReason.STATE: "the model's process was started anew; try again",
}


class InvokeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of POST /v1/models/{id}:invoke. Give either ``columns`` or ``rows``; null is no number (NaN).

    Attributes:
        columns: values by input port, all of one length n.
        rows: n objects with a value for each input port.
        units: UCUM unit by input port or parameter in which the values are given; default: the port's.
        parameters: values of the model's parameters.
        times: n source times in seconds from any origin, ascending; default: ``step_s`` apart, or 1 s.
        version: version to call; default: the current one.
        asset: of a SQL model, path of the asset.
        time_from: of a SQL model, RFC 3339.
        time_to: of a SQL model, RFC 3339.
    """

    columns: dict[str, list[float | None]] | None = None
    rows: list[dict[str, float | None]] | None = None
    units: dict[str, str] = {}
    parameters: dict[str, float] = {}
    times: list[float] | None = None
    version: str = ""
    asset: str = ""
    time_from: str = msgspec.field(default="", name="from")
    time_to: str = msgspec.field(default="", name="to")


class InvokeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request of ``svc.models.invoke``: a call with who makes it.

    Attributes:
        tenant: whose model.
        caller: name of the user, or ``app:<id>``, under which the call is counted.
        model: id of the model.
        body: the call.
    """

    tenant: int
    caller: str
    model: str
    body: InvokeBody


class InvokeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a call.

    Attributes:
        model: id.
        version: version that computed.
        columns: values by output port; null where the model gave no number.
        units: UCUM unit by output port.
        times: of a SQL model, RFC 3339 time by row; empty otherwise.
        rows: number of rows.
        not_numbers: how many values are null.
        cpu_s: CPU seconds of the model's process.
        notes: what the model said of the call.
    """

    model: str
    version: str
    columns: dict[str, list[float | None]]
    units: dict[str, str]
    times: list[str] = []
    rows: int = 0
    not_numbers: int = 0
    cpu_s: float = 0.0
    notes: list[str] = []


def rows_of(spec: ModelSpec, body: InvokeBody) -> Rows:
    """Return the rows of a call, in the ports' units.

    Raises:
        Problem: 400 when it is not a table of the model's inputs, 422 ``unit-refused`` when a unit does not convert.
    """
    columns = _columns(spec, body)
    n = len(next(iter(columns.values())))
    for port in spec.inputs:
        unit = body.units.get(port.name, port.unit)
        if unit == port.unit:
            continue
        try:
            conversion = convert_factor(unit, port.unit)
        except UnitError as error:
            raise Problem(
                422, "unit-refused", "A unit does not fit the model", f"input {port.name}: {error}", {"port": port.name}
            ) from None
        columns[port.name] = columns[port.name] * conversion.factor + conversion.offset
    known = {port.name for port in spec.inputs} | {item.name for item in spec.parameters}
    if unknown := sorted(set(body.units) - known):
        raise invalid(f"units name {unknown[0][:80]!r}, which is no input port or parameter of {spec.id}")
    times = _times(spec, body, n)
    dt = np.diff(times, prepend=times[0]) / SECOND
    dt[0] = np.nan
    zero = np.zeros(1, dtype=np.int64)
    return Rows(zero, np.array([0, n], dtype=np.int64), times, columns, dt, [None])


def _columns(spec: ModelSpec, body: InvokeBody) -> dict[str, Column]:
    names = [port.name for port in spec.inputs]
    if (body.columns is None) == (body.rows is None):
        raise invalid("give either columns or rows")
    if body.rows is not None:
        given: dict[str, list[float | None]] = {}
        if len(body.rows) > MAX_ROWS:
            raise invalid(f"at most {MAX_ROWS} rows in a call")
        for number, row in enumerate(body.rows):
            if set(row) != set(names):
                odd = sorted(set(row) ^ set(names))[0]
                word = "lacks" if odd in names else "has"
                raise invalid(f"row {number} {word} {odd[:80]!r}; the inputs of {spec.id} are {', '.join(names)}")
        given = {name: [row[name] for row in body.rows] for name in names}
    else:
        given = body.columns or {}
    if missing := [name for name in names if name not in given]:
        raise invalid(f"input {missing[0]!r} is missing; the inputs of {spec.id} are {', '.join(names)}")
    if unknown := sorted(set(given) - set(names)):
        raise invalid(f"{spec.id} has no input {unknown[0][:80]!r}; it has {', '.join(names)}")
    lengths = {name: len(values) for name, values in given.items()}
    n = lengths[names[0]]
    if odd := [name for name in names if lengths[name] != n]:
        raise invalid(f"columns differ in length: {names[0]} has {n} values, {odd[0]} has {lengths[odd[0]]}")
    if not 1 <= n <= MAX_ROWS or n * max(len(names), len(spec.outputs)) > MAX_VALUES:
        raise invalid(f"a call has 1 to {MAX_ROWS} rows and at most {MAX_VALUES} values of inputs, and of outputs")
    return {name: np.array(given[name], dtype=np.float64) for name in names}


def _times(spec: ModelSpec, body: InvokeBody, n: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    if body.times is None:
        return np.arange(1, n + 1, dtype=np.int64) * round((spec.step_s or 1.0) * SECOND)
    if len(body.times) != n:
        raise invalid(f"times has {len(body.times)} values, the columns have {n}")
    seconds = np.array(body.times, dtype=np.float64)
    if not bool(np.isfinite(seconds).all()) or bool((np.diff(seconds) <= 0).any()) or bool((abs(seconds) > 9e9).any()):
        raise invalid("times are seconds in ascending order")
    return np.round(seconds * SECOND).astype(np.int64)


def answer_of(spec: ModelSpec, columns: Mapping[str, Column], cpu_s: float, notes: list[str]) -> InvokeAnswer:
    """Return the answer for outputs of a call."""
    told: dict[str, list[float | None]] = {}
    lost = n = 0
    for port in spec.outputs:
        column = columns[port.name]
        finite = np.isfinite(column)
        n, lost = len(column), lost + int((~finite).sum())
        values: list[float | None] = column.tolist()
        for at in np.flatnonzero(~finite).tolist():
            values[at] = None
        told[port.name] = values
    return InvokeAnswer(
        model=spec.id,
        version=spec.version,
        columns=told,
        units={port.name: port.unit for port in spec.outputs},
        rows=n,
        not_numbers=lost,
        cpu_s=round(cpu_s, 6),
        notes=notes,
    )


def problem_of(spec: ModelSpec, failure: ModelFailure) -> Problem:
    """Return the problem for a failure: 504 when a limit of time passed, else 422."""
    extra = {"reason": str(failure.reason), "advice": _ADVICE.get(failure.reason, "look at the detail")}
    detail = f"{spec.id} {spec.version}: {failure.detail}"
    if failure.reason in (FailureReason.TIMEOUT, FailureReason.CPU):
        return Problem(504, "model-timeout", "The model did not answer in time", detail, extra)
    return Problem(422, "model-failed", "The model failed", detail, extra)
