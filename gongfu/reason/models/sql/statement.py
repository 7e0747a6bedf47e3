"""The statement of a SQL model: parameters put in, and its answer read as columns. Pure.

A statement is one SELECT of the history's SQL (docs/history.md). It may use ``:from`` and ``:to`` (times), ``:asset``
(text) and the names of the model's parameters (numbers). Each output port is a column of that name; a column ``time``
says when, else the row is of ``:to``.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.times import SECOND
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.types import Column

# Text in quotes and comments stay as they are; a name after a colon is a parameter, but not of ``::`` (a cast).
_TOKEN = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|::|:([A-Za-z_][A-Za-z0-9_]*)", re.DOTALL
)
BUILT_IN = ("from", "to", "asset")


def statement_of(spec: ModelSpec, artifact: bytes) -> str:
    """Return the text of a statement.

    Raises:
        Problem: 422 ``model-failed`` when it is not UTF-8.
    """
    try:
        return artifact.decode()
    except UnicodeDecodeError:
        raise _shape(spec, "the statement is not UTF-8 text") from None


def bound_statement(
    spec: ModelSpec, text: str, asset: str, time_from: int, time_to: int, parameters: Mapping[str, float]
) -> str:
    """Return a statement with its parameters put in as literals.

    Args:
        spec: the model.
        text: the statement.
        asset: path of the asset.
        time_from: UTC ns.
        time_to: UTC ns.
        parameters: numbers by name.

    Raises:
        Problem: 400 for a name that is no parameter.
    """

    def literal(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group(0)
        if name == "from":
            return _time(time_from)
        if name == "to":
            return _time(time_to)
        if name == "asset":
            return "'" + asset.replace("\\", "\\\\").replace("'", "\\'") + "'"
        if name in parameters:
            return repr(float(parameters[name]))
        known = ", ".join(f":{one}" for one in (*BUILT_IN, *(item.name for item in spec.parameters)))
        raise invalid(f"the statement of {spec.id} asks for :{name}; there are {known}")

    return _TOKEN.sub(literal, text)


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"toDateTime64('{text}.{rest:09d}', 9, 'UTC')"


def columns_of(
    spec: ModelSpec, names: Sequence[str], rows: Sequence[Sequence[Any]], time_to: int
) -> tuple[NDArray[np.int64], dict[str, Column]]:
    """Return the times of rows (int64[n], UTC ns, ascending) and float64[n] by output port.

    Raises:
        Problem: 422 ``model-failed`` when a column is missing, or holds what is no number or time.
    """
    missing = [port.name for port in spec.outputs if port.name not in names]
    if missing:
        text = f"the statement gives no column {missing[0]!r}; it gives {', '.join(names) or 'none'}"
        raise _shape(spec, text)
    columns: dict[str, Column] = {}
    for port in spec.outputs:
        at = list(names).index(port.name)
        try:
            values = [np.nan if row[at] is None else float(row[at]) for row in rows]
        except (TypeError, ValueError):
            raise _shape(spec, f"column {port.name!r} holds what is no number") from None
        columns[port.name] = np.array(values, dtype=np.float64)
    if "time" not in names:
        if len(rows) > 1:
            raise _shape(spec, f"it gives {len(rows)} rows, so it needs a column 'time' that says when each is")
        return np.full(len(rows), time_to, dtype=np.int64), columns
    at = list(names).index("time")
    try:
        times = np.array([_parse(str(row[at])) for row in rows], dtype=np.int64)
    except ValueError:
        raise _shape(spec, "column 'time' holds what is no time") from None
    order = np.argsort(times, kind="stable")
    return times[order], {name: column[order] for name, column in columns.items()}


def _parse(text: str) -> int:
    """Return UTC ns of ``2026-01-01 00:00:00[.fraction]``, also with T and Z, or of seconds since 1970."""
    text = text.strip().removesuffix("Z").replace("T", " ")
    whole, _, fraction = text.partition(".")
    fraction = (fraction + "000000000")[:9]
    if re.fullmatch(r"\d{1,11}", whole):
        return int(whole) * SECOND + int(fraction)
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND + int(fraction)


def _shape(spec: ModelSpec, text: str) -> Problem:
    extra = {"reason": "shape", "advice": "change the statement, and register it as a new version"}
    return Problem(422, "model-failed", "The model failed", f"{spec.id} {spec.version}: {text}", extra)
