"""Placement: the assets that a binding applies to, with the series of their ports. Reads the records in bulk.

One binding may apply to a hundred thousand assets, so everything is kept in arrays, and texts are shared.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, String, cast, insert, literal_column, or_, select
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.points import ValueType
from gongfu.reason.models.binding import Check, PointFound, Ported, check_inputs, check_output, port_paths
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.types import Port
from gongfu.reason.rules.patterns import asset_pattern, is_glob, literal_prefix
from gongfu.registry.tables import asset, point
from gongfu.store.records.engine import reading, writing
from gongfu.thing.tables import thing_model

_CHUNK = 400
RUNNING, WAITING, REFUSED = 0, 1, 2
WORDS = ("running", "waiting", "refused")


@dataclass(slots=True)
class Place:
    """An asset at a binding; series and conversions are empty unless it runs."""

    asset: int
    path: str
    state: int
    reason: str = ""
    check: Check = field(default_factory=Check)
    outputs: Check = field(default_factory=Check)


@dataclass(slots=True)
class Placement:
    """What came of a binding: m assets, of which s run.

    Attributes:
        scope: the binding.
        assets: int64[m], ids.
        paths: their paths.
        states: uint8[m]: ``RUNNING``, ``WAITING`` or ``REFUSED``.
        reasons: why it waits or is refused, by position; texts are shared.
        error: why the binding as a whole cannot run.
        running: int64[s], positions of the assets that run.
        inputs: int64[s, p], series of the input ports.
        outputs: int64[s, q], series of the output ports.
        input_factors, input_offsets: float64[s, p], from point to port.
        output_factors, output_offsets: float64[s, q], from port to point.
    """

    scope: Scope
    assets: NDArray[np.int64]
    paths: list[str]
    states: NDArray[np.uint8]
    reasons: list[str]
    error: str
    running: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    input_factors: NDArray[np.float64]
    input_offsets: NDArray[np.float64]
    output_factors: NDArray[np.float64]
    output_offsets: NDArray[np.float64]

    def counts(self) -> dict[str, int]:
        """Return the number of assets by state."""
        number = np.bincount(self.states, minlength=3)
        return {word: int(number[state]) for state, word in enumerate(WORDS)}


def no_placement(scope: Scope, error: str) -> Placement:
    """Return the placement of a binding that cannot run as a whole."""
    return _placement(scope, [], 0, 0, error)


def place(
    engine: Engine, scope: Scope, model: Ported, now: int, taken: dict[int, int], *, make: bool = True
) -> Placement:
    """Return the assets of a binding with their series; missing output points are made. Blocks on the records.

    Each chunk of assets is read, and written, in transactions of its own, so nobody waits for a hundred thousand.

    Args:
        engine: the records.
        scope: the binding.
        model: its model.
        now: UTC ns.
        taken: binding by output series that it writes; those of this one are added.
        make: make output points that are not there.
    """
    with reading(engine) as connection:
        places = [Place(key, path, RUNNING) for key, path in assets_of(connection, scope)]
    if scope.asset and not places:
        return no_placement(scope, "its asset was deleted")
    paths = port_paths(model.inputs, scope.points)
    texts: dict[str, str] = {}
    for start in range(0, len(places), _CHUNK):
        chunk = places[start : start + _CHUNK]
        with reading(engine) as connection:
            found = find_points(connection, scope.tenant, chunk, set(paths.values()))
        for item in chunk:
            item.check = check_inputs(model, scope.points, found.get(item.asset, {}), scope.assume_units)
            _judge(item, item.check, texts)
        ready = [item for item in chunk if item.state == RUNNING]
        there = _output_points(engine, scope.tenant, model, ready, now, make)
        for item in ready:
            _bind_outputs(item, scope, model, there, taken, texts)
    return _placement(scope, places, len(model.inputs), len(model.outputs), "")


def assets_of(connection: Connection, scope: Scope) -> list[tuple[int, str]]:
    """Return id and path of the assets that a binding applies to, in order of id."""
    query = select(asset.c.id, asset.c.path).where(asset.c.tenant_id == scope.tenant).order_by(asset.c.id)
    if scope.asset:
        return [(row.id, row.path) for row in connection.execute(query.where(asset.c.id == scope.asset))]
    if scope.type:
        references = types_of(connection, scope.tenant, scope.type)
        versions = asset.c.type.startswith(f"{scope.type}@", autoescape=True)
        query = query.where(or_(asset.c.type.in_(references), versions), asset.c.type != literal_column("''"))
    if not is_glob(scope.assets):
        query = query.where(asset.c.path == scope.assets)
    elif prefix := literal_prefix(scope.assets):
        query = query.where(asset.c.path >= prefix, asset.c.path < prefix + "\U0010ffff")
    pattern = asset_pattern(scope.assets)
    return [(row.id, row.path) for row in connection.execute(query) if pattern.fullmatch(row.path)]


def types_of(connection: Connection, tenant: int, wanted: str) -> list[str]:
    """Return the types of assets that count as one: itself, all versions of the thing model, and what extends them."""
    c = thing_model.c
    rows = connection.execute(
        select(c.name, cast(c.version, String).label("version"), c.body["extends"].as_string().label("extends")).where(
            c.tenant_id == tenant
        )
    ).all()
    found = {wanted} | {f"{row.name}@{row.version}" for row in rows if row.name == wanted}
    while more := {f"{row.name}@{row.version}" for row in rows if row.extends in found} - found:
        found |= more
    return sorted(found)


def find_points(
    connection: Connection, tenant: int, places: Sequence[Place], paths: Iterable[str]
) -> dict[int, dict[str, PointFound]]:
    """Return, by asset, the points at paths relative to it; those that are not there are left out.

    A path is a point name of the asset or, when there is none, ``child asset/point name``. Names may contain slashes,
    so every cut is tried, and the one with the shortest asset wins.
    """
    wanted: dict[str, list[tuple[int, str, str]]] = {}
    for text in paths:
        parts = text.split("/")
        for cut in range(len(parts)):
            wanted.setdefault("/".join(parts[:cut]), []).append((cut, "/".join(parts[cut:]), text))
    best: dict[int, dict[str, tuple[int, PointFound]]] = {}
    for below, names in wanted.items():
        by_name: dict[str, list[tuple[int, str]]] = {}
        for cut, name, text in names:
            by_name.setdefault(name, []).append((cut, text))
        owners = (
            {item.asset: item.asset for item in places} if not below else _children(connection, tenant, places, below)
        )
        for row in _points(connection, list(owners), list(by_name)):
            seen = best.setdefault(owners[row.asset_id], {})
            for cut, text in by_name[row.name]:
                if text not in seen or cut < seen[text][0]:
                    seen[text] = (cut, PointFound(row.id, row.unit, ValueType(row.value_type)))
    return {key: {text: item for text, (_, item) in seen.items()} for key, seen in best.items()}


def _children(connection: Connection, tenant: int, places: Sequence[Place], below: str) -> dict[int, int]:
    """Return the asset of a place by the id of its child at a relative path."""
    by_path = {f"{item.path}/{below}": item.asset for item in places}
    query = select(asset.c.id, asset.c.path).where(asset.c.tenant_id == tenant, asset.c.path.in_(list(by_path)))
    return {row.id: by_path[row.path] for row in connection.execute(query)}


def _points(connection: Connection, assets: list[int], names: list[str]) -> Sequence[Any]:
    query = select(point.c.id, point.c.asset_id, point.c.name, point.c.unit, point.c.value_type)
    return (
        connection.execute(query.where(point.c.asset_id.in_(assets), point.c.name.in_(names))).all() if assets else []
    )


def _judge(item: Place, check: Check, texts: dict[str, str]) -> None:
    problems = check.refused or check.missing
    if problems:
        item.state = REFUSED if check.refused else WAITING
        text = "; ".join(problems)[:1000]
        item.reason = texts.setdefault(text, text)


def _output_points(
    engine: Engine, tenant: int, model: Ported, places: Sequence[Place], now: int, make: bool
) -> dict[tuple[int, str], PointFound]:
    """Return the output points by asset and name; those that are not there are made first."""
    names = [port.point for port in model.outputs]
    with reading(engine) as connection:
        there = _outputs(connection, places, names)
    missing = [(item, port) for item in places for port in model.outputs if (item.asset, port.point) not in there]
    if not make or not missing:
        return there
    rows = [_output_point(tenant, item, port, now) for item, port in missing]
    try:
        with writing(engine) as connection:
            connection.execute(insert(point), rows)
    except IntegrityError:
        # A device wrote some of them in this moment.
        for row in rows:
            with suppress(IntegrityError), writing(engine) as connection:
                connection.execute(insert(point).values(row))
    with reading(engine) as connection:
        return _outputs(connection, places, names)


def _bind_outputs(
    item: Place,
    scope: Scope,
    model: Ported,
    there: Mapping[tuple[int, str], PointFound],
    taken: dict[int, int],
    texts: dict[str, str],
) -> None:
    check = item.outputs
    for port in model.outputs:
        found = there.get((item.asset, port.point))
        if found is None:
            check.missing.append(f"output {port.name}: point {port.point!r} is not made yet")
            continue
        check_output(check, port, found, item.check.bound)
        other = taken.get(found.series)
        if other is not None and other != scope.id:
            check.refused.append(f"output {port.name} is written by binding {other} already")
    _judge(item, check, texts)
    if item.state == RUNNING:
        taken.update((port.series, scope.id) for port in check.bound)


def _outputs(connection: Connection, places: Sequence[Place], names: list[str]) -> dict[tuple[int, str], PointFound]:
    rows = _points(connection, [item.asset for item in places], names)
    return {(row.asset_id, row.name): PointFound(row.id, row.unit, ValueType(row.value_type)) for row in rows}


def _output_point(tenant: int, item: Place, port: Port, now: int) -> Mapping[str, Any]:
    return {
        "tenant_id": tenant,
        "asset_id": item.asset,
        "name": port.point,
        "value_type": int(ValueType.DOUBLE),
        "unit": port.unit,
        "description": port.description or port.name,
        "created_at": now,
    }


def _placement(scope: Scope, places: Sequence[Place], inputs: int, outputs: int, error: str) -> Placement:
    states = np.array([item.state for item in places], dtype=np.uint8)
    running = np.flatnonzero(states == RUNNING)
    ready = [places[at] for at in running.tolist()]

    def series(checks: Sequence[Check], ports: int) -> NDArray[np.int64]:
        return np.array([[port.series for port in check.bound] for check in checks], dtype=np.int64).reshape(
            len(checks), ports
        )

    def numbers(checks: Sequence[Check], ports: int, name: str) -> NDArray[np.float64]:
        rows = [[getattr(port.conversion, name) for port in check.bound] for check in checks]
        return np.array(rows, dtype=np.float64).reshape(len(checks), ports)

    ins, outs = [item.check for item in ready], [item.outputs for item in ready]
    return Placement(
        scope,
        np.array([item.asset for item in places], dtype=np.int64),
        [item.path for item in places],
        states,
        [item.reason for item in places],
        error,
        running,
        series(ins, inputs),
        series(outs, outputs),
        numbers(ins, inputs, "factor"),
        numbers(ins, inputs, "offset"),
        numbers(outs, outputs, "factor"),
        numbers(outs, outputs, "offset"),
    )
