"""Properties of models as a CSV table (RFC 4180, UTF-8), one a line: what a spreadsheet can edit.

Columns: ``model``, ``name``, ``data_type`` and, where there are any, ``unit``, ``minimum``, ``maximum``,
``max_length``, ``choices`` (joined by "|"), ``deadband``, ``writable``, ``required``, ``on_violation``, ``title_zh``,
``title_en``, ``description``, ``semantic``. Lines of one model stand for one model; events, services and relations
have no place.
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.thing.names import fit_model_name, fit_name
from gongfu.thing.report import Report
from gongfu.thing.types import MAX_MEMBERS, Model, Property, Titles, Validation

COLUMNS = (
    "model", "name", "data_type", "unit", "minimum", "maximum", "max_length", "choices", "deadband", "writable",
    "required", "on_violation", "title_zh", "title_en", "description", "semantic",
)  # fmt: skip
_YES = {"true", "yes", "1", "是"}
_NO = {"", "false", "no", "0", "否"}


def write_csv(model: Model, report: Report) -> bytes:
    """Return the properties of a model with all that it inherits; with a byte order mark, for spreadsheets."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    for group in ("events", "services", "relations"):
        for name in getattr(model, group):
            report.leave_out(f"{group}.{name}", "the table has properties only")
    for name in ("extends", "identifier", "description"):
        if getattr(model, name):
            report.leave_out(name, "the table has properties only")
    if model.titles != Titles() or model.validation != Validation() or model.abstract:
        report.leave_out("titles, validation, abstract", "the table has properties only")
    for name, item in model.properties.items():
        if any(isinstance(choice, str) and ("|" in choice or not choice) for choice in item.choices):
            report.leave_out(f"properties.{name}.choices", 'a choice is empty or has "|" in it')
        writer.writerow(_line(model.name, name, item))
    return b"\xef\xbb\xbf" + output.getvalue().encode()


def read_csv(content: bytes, report: Report) -> list[Model]:
    """Return the models of a table.

    Args:
        content: UTF-8, with or without byte order mark, or GB 18030.
        report: hears of columns and lines that are left out.

    Raises:
        Problem: 400; not a table, or a line is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError:
            raise invalid("the table is neither UTF-8 nor GB 18030") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        header = rows.fieldnames or []
        if not {"name", "data_type"} <= set(header):
            raise invalid("the first line must name the columns; name and data_type are needed")
        for column in header:
            if column not in COLUMNS:
                report.leave_out(column, "a column that is not known")
        properties: dict[str, dict[str, Property]] = {}
        for number, row in enumerate(rows, 2):
            if not any(cell for cell in row.values() if isinstance(cell, str) and cell.strip()):
                continue
            _add(properties, row, number, report)
    except csv.Error as error:
        raise invalid(f"the table cannot be read: {error}") from None
    if not properties:
        raise invalid("the table has no lines")
    return [Model(name, properties=items) for name, items in properties.items()]


def _line(model: str, name: str, item: Property) -> list[Any]:
    return [
        model,
        name,
        item.data_type,
        item.unit,
        _number(item.minimum),
        _number(item.maximum),
        _number(item.max_length),
        "|".join(map(str, item.choices)),
        item.deadband or "",
        "true" if item.writable else "",
        "true" if item.required else "",
        item.on_violation or "",
        item.titles.zh,
        item.titles.en,
        item.description,
        item.semantic,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _add(properties: dict[str, dict[str, Property]], row: Mapping[Any, Any], number: int, report: Report) -> None:
    cells = {name: cell for name, cell in row.items() if isinstance(name, str) and isinstance(cell, str)}
    if None in row:
        report.leave_out(f"line {number}", "more cells than columns")
    where = f"line {number}"
    name = cells.get("name", "")
    if not name.strip():
        raise invalid(f"{where}: name is empty")
    model = properties.setdefault(fit_model_name(cells.get("model") or "model", report, f"{where}.model"), {})
    name = fit_name(name, report, f"{where}.name")
    if name in model:
        raise invalid(f"{where}: {name!r} is there twice")
    if len(model) >= MAX_MEMBERS:
        raise invalid(f"{where}: a model has at most {MAX_MEMBERS} properties")
    model[name] = _property(cells, where)


def _property(cells: Mapping[str, str], where: str) -> Property:
    data_type = cells.get("data_type", "").strip()
    document = {
        "data_type": data_type,
        "unit": cells.get("unit", "").strip(),
        "minimum": _parse(cells.get("minimum", ""), data_type, f"{where}.minimum"),
        "maximum": _parse(cells.get("maximum", ""), data_type, f"{where}.maximum"),
        "max_length": _parse(cells.get("max_length", ""), "int64", f"{where}.max_length"),
        "choices": [
            choice if data_type == "string" else _parse(choice, data_type, f"{where}.choices")
            for choice in (cells["choices"].split("|") if cells.get("choices") else [])
        ],
        "deadband": _parse(cells.get("deadband", ""), "double", f"{where}.deadband") or 0.0,
        "writable": _flag(cells.get("writable", ""), f"{where}.writable"),
        "required": _flag(cells.get("required", ""), f"{where}.required"),
        "on_violation": cells.get("on_violation", "").strip() or None,
        "titles": {"zh": cells.get("title_zh", ""), "en": cells.get("title_en", "")},
        "description": cells.get("description", ""),
        "semantic": cells.get("semantic", "").strip(),
    }
    try:
        return msgspec.convert(document, Property)
    except msgspec.ValidationError as error:
        raise invalid(f"{where}: {error}") from None


def _parse(text: str, data_type: str, where: str) -> float | int | None:
    text = text.strip()
    if not text:
        return None
    try:
        # Long enough for all numbers of 64 bits; Python takes a while for integers of many digits.
        number = int(text) if len(text) < 40 and text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise invalid(f"{where}: {text[:60]!r} is no number") from None
    if data_type == "int64" and isinstance(number, float):
        raise invalid(f"{where}: {text[:60]!r} is no integer")
    return number


def _flag(text: str, where: str) -> bool:
    found = text.strip().lower()
    if found not in _YES and found not in _NO:
        raise invalid(f"{where}: {text[:60]!r} is neither true nor false")
    return found in _YES
