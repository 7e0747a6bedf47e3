"""The document of a table model (JSON), and how tables follow from one another. Pure."""

import csv
import io
import itertools
import re
from enum import StrEnum
from typing import Any

import msgspec

from gongfu.reason.models.kinds.types import refused

MOST_CELLS = 1_000_000
MOST_AXES = 4
_HEAD = re.compile(r"\s*(in|out):\s*([A-Za-z][A-Za-z0-9_]*)\s*(?:\[([^\]]*)\])?\s*$")
_SETTING = re.compile(r"#\s*(method|outside|name|description)\s*:\s*(.*)$")


class Method(StrEnum):
    """How a value between the points of an axis is found."""

    LINEAR = "linear"
    PREVIOUS = "previous"
    NEAREST = "nearest"


class Outside(StrEnum):
    """What becomes of a value outside an axis."""

    NAN = "nan"
    HOLD = "hold"
    EXTRAPOLATE = "extrapolate"


class Hit(StrEnum):
    """Which rule of a decision counts when several fit (DMN's hit policies first, unique, collect)."""

    FIRST = "first"
    UNIQUE = "unique"
    SUM = "sum"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


class TablePort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output of the model."""

    name: str
    unit: str = "1"
    description: str = ""
    point: str = ""


class Axis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An axis of a look-up: ``input`` is an input or the result of another table; ``at`` ascends strictly."""

    input: str
    at: list[float]


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="lookup", tag_field="table"):
    """A look-up in one to four dimensions; ``values`` are lists in lists, the first axis outermost."""

    gives: str
    axes: list[Axis]
    values: list[Any]
    outside: Outside
    method: Method = Method.LINEAR


class DecisionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When every condition holds (``">= 80"``, ``"10..20"``, ``3``, ``[1, 2]``), these results."""

    when: dict[str, str | float | list[float]]
    then: dict[str, float]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="decision", tag_field="table"):
    """A decision table; where no rule fits, ``otherwise``, and NaN for what it does not name."""

    gives: list[str]
    rules: list[DecisionRule]
    otherwise: dict[str, float] = {}
    hit: Hit = Hit.FIRST


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table model."""

    inputs: list[TablePort]
    outputs: list[TablePort]
    tables: list[Lookup | Decision]
    name: str = ""
    version: str = ""
    description: str = ""
    tolerance_s: float | None = None


def needs(table: Lookup | Decision) -> set[str]:
    """Return what a table reads."""
    if isinstance(table, Lookup):
        return {axis.input for axis in table.axes}
    return {name for rule in table.rules for name in rule.when}


def gives(table: Lookup | Decision) -> list[str]:
    """Return what a table gives."""
    return [table.gives] if isinstance(table, Lookup) else table.gives


def ordered(document: Document) -> list[Lookup | Decision]:
    """Return the tables so that each comes after those it reads from.

    Raises:
        KindError: a name is not there, is given twice, or tables read from one another in a circle.
    """
    inputs = {port.name for port in document.inputs}
    source: dict[str, int] = {}
    for index, table in enumerate(document.tables):
        for name in gives(table):
            if name in source or name in inputs:
                raise refused(f"{name!r} is given by two tables, or is an input as well")
            source[name] = index
    for index, table in enumerate(document.tables):
        if missing := sorted(needs(table) - inputs - set(source)):
            raise refused(f"table {index + 1} reads {missing[0]!r}, which is no input and no table gives")
    if missing := [port.name for port in document.outputs if port.name not in source]:
        raise refused(f"no table gives the output {missing[0]!r}")
    done: list[int] = []
    state = [0] * len(document.tables)

    def visit(index: int, path: list[str]) -> None:
        if state[index] == 1:
            raise refused(f"tables read from one another in a circle: {' <- '.join(path)}")
        if state[index] == 2:
            return
        state[index] = 1
        for name in sorted(needs(document.tables[index]) & set(source)):
            visit(source[name], [*path, name])
        state[index] = 2
        done.append(index)

    if len(document.tables) > 200:
        raise refused("more than 200 tables")
    for index, table in enumerate(document.tables):
        visit(index, gives(table)[:1])
    return [document.tables[index] for index in done]


def parse(data: bytes) -> Document:
    """Return the document of a JSON or CSV file.

    Raises:
        KindError: it is neither, or says something wrong; the detail says where.
    """
    text = data.decode("utf-8-sig", errors="replace")
    if text.lstrip().startswith("{"):
        try:
            document = msgspec.json.decode(text, type=Document)
        except msgspec.ValidationError as error:
            raise refused(f"the table's document is wrong: {error}") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise refused(f"the file is no JSON: {error}") from None
    else:
        document = _from_csv(text)
    for what, ports in (("input", document.inputs), ("output", document.outputs)):
        names = [port.name for port in ports]
        if len(set(names)) != len(names):
            raise refused(f"two {what}s have one name")
    if not document.inputs or not document.outputs:
        raise refused("a table model has at least one input and one output")
    return document


def _from_csv(text: str) -> Document:
    settings: dict[str, str] = {}
    lines: list[str] = []
    for line in text.splitlines():
        found = _SETTING.match(line)
        if found:
            settings[found[1]] = found[2].strip()
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
    rows = list(itertools.islice(csv.reader(io.StringIO("\n".join(lines))), MOST_CELLS))
    if len(rows) < 2:
        raise refused("the file is neither JSON nor a CSV table with a head line and rows")
    heads = [_HEAD.match(cell) for cell in rows[0]]
    if not all(heads):
        wrong = rows[0][heads.index(None)]
        raise refused(f"column {wrong[:60]!r}: a head is 'in:name [unit]' or 'out:name [unit]'")
    ports = [(each[1], TablePort(each[2], each[3] or "1")) for each in heads if each]
    if "outside" not in settings:
        raise refused("say what becomes of values outside the table: a line '# outside: nan', 'hold' or 'extrapolate'")
    try:
        method, outside = Method(settings.get("method", "linear")), Outside(settings["outside"])
        cells = [[float(cell) for cell in row] for row in rows[1:]]
    except ValueError as error:
        raise refused(f"the table is wrong: {error}") from None
    if any(len(row) != len(ports) for row in cells):
        raise refused("a row has more or fewer cells than the head")
    inputs = [index for index, (kind, _) in enumerate(ports) if kind == "in"]
    axes = [sorted({row[index] for row in cells}) for index in inputs]
    by_key = {tuple(row[index] for index in inputs): row for row in cells}
    wanted = 1
    for axis in axes:
        wanted *= len(axis)
    if len(by_key) != len(cells) or len(by_key) != wanted:
        raise refused(f"the rows are no full grid: {len(cells)} rows, {len(by_key)} points, {wanted} are needed")
    tables: list[Lookup | Decision] = []
    for index, (kind, port) in enumerate(ports):
        if kind == "out":
            nested = _nested(axes, (), by_key, index)
            named = [Axis(ports[which][1].name, axis) for which, axis in zip(inputs, axes, strict=True)]
            tables.append(Lookup(port.name, named, nested, outside, method))
    return Document(
        [port for kind, port in ports if kind == "in"],
        [port for kind, port in ports if kind == "out"],
        tables,
        settings.get("name", ""),
        "",
        settings.get("description", ""),
    )


def _nested(
    axes: list[list[float]], key: tuple[float, ...], rows: dict[tuple[float, ...], list[float]], at: int
) -> Any:
    if not axes:
        return rows[key][at]
    return [_nested(axes[1:], (*key, value), rows, at) for value in axes[0]]
