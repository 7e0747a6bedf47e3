"""From bindings in the records to bindings that run: points found, output points made, units checked."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from gongfu.reason.models import records
from gongfu.reason.models.binding import Check, check_inputs, check_output, port_paths
from gongfu.reason.models.records import BindingRow
from gongfu.reason.models.runner import Binding, BindingStatus
from gongfu.reason.models.types import ModelDefinition


def look(connection: Connection, row: BindingRow, definition: ModelDefinition) -> Check:
    """Return what comes of the inputs of a binding at present."""
    paths = port_paths(definition.inputs, row.points)
    found = records.find_points(connection, row.tenant, row.asset_path, list(paths.values()))
    return check_inputs(definition, row.points, found, row.assume_units)


def look_at_outputs(connection: Connection, row: BindingRow, definition: ModelDefinition) -> list[str]:
    """Return what speaks against the output points that are there already; nothing is made."""
    inputs = look(connection, row, definition)
    check = Check()
    for port in definition.outputs:
        point = records.find_point(connection, row.asset, port.point)
        if point is not None:
            check_output(check, port, point, inputs.bound)
    return check.refused


def resolve(
    connection: Connection, rows: Sequence[BindingRow], models: Mapping[str, ModelDefinition], now: int
) -> tuple[list[Binding], dict[int, BindingStatus]]:
    """Return the bindings that can run, and the status of those that cannot. Makes missing output points.

    Args:
        connection: a transaction that may write.
        rows: the bindings.
        models: the models of this node by id.
        now: UTC ns.
    """
    ready: list[Binding] = []
    others: dict[int, BindingStatus] = {}
    written: dict[int, int] = {}
    for row in rows:
        definition = models.get(row.model)
        if definition is None:
            others[row.id] = BindingStatus("refused", f"this node has no model {row.model}")
        elif not row.asset_path:
            others[row.id] = BindingStatus("refused", "its asset was deleted")
        else:
            bound = _resolve_one(connection, row, definition, now)
            if isinstance(bound, BindingStatus):
                others[row.id] = bound
            elif taken := [port.name for port in bound.outputs if port.series in written]:
                first = written[next(port.series for port in bound.outputs if port.series in written)]
                others[row.id] = BindingStatus("refused", f"output {taken[0]} is written by binding {first} already")
            else:
                written.update((port.series, row.id) for port in bound.outputs)
                ready.append(bound)
    return ready, others


def _resolve_one(
    connection: Connection, row: BindingRow, definition: ModelDefinition, now: int
) -> Binding | BindingStatus:
    inputs = look(connection, row, definition)
    if inputs.refused:
        return BindingStatus("refused", _join(inputs.refused))
    if inputs.missing:
        return BindingStatus("waiting", _join(inputs.missing))
    outputs = Check()
    for port in definition.outputs:
        description = port.description or f"{definition.name}: {port.name}"
        point = records.ensure_point(connection, row.tenant, row.asset, port.point, port.unit, description, now)
        check_output(outputs, port, point, inputs.bound)
    if outputs.refused:
        return BindingStatus("refused", _join(outputs.refused))
    return Binding(row.id, definition, tuple(inputs.bound), tuple(outputs.bound))


def _join(reasons: Iterable[str]) -> str:
    return "; ".join(reasons)[:1000]
