"""Tables and queries of rules, and the points they may apply to."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from gongfu.kernel.errors import Problem
from gongfu.reason.rules.patterns import is_glob, literal_prefix
from gongfu.reason.rules.types import Kind, Priority, Rule, RuleBody, parse_condition
from gongfu.registry.tables import asset, audit, point
from gongfu.store.records.engine import Key, metadata

rule = Table(
    "rule",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("asset", String(1000), nullable=False),
    Column("point", String(200), nullable=False),
    Column("condition", JSON, nullable=False),
    Column("priority", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("unit", String(40)),
    Column("lateness_s", Float),
    Column("owner", String(200)),
    Index("ix_rule_tenant_id_owner", "tenant_id", "owner"),
    Index("ix_rule_tenant_id_id", "tenant_id", "id"),
    # Ids name alarms for ever and must not be given again.
    sqlite_autoincrement=True,
)

# Beyond so many different patterns one pass over all points is cheaper than a search for each.
_MAX_SEARCHES = 50
# Variables of one statement: SQLite takes 32,766.
_CHUNK = 500
_LAST_CHARACTER = "\U0010ffff"


class PointRow(NamedTuple):
    """What rules and models need to know of a point. A tuple: it is made of millions of rows in the time of one."""

    series: int
    tenant: int
    asset_path: str
    name: str
    value_type: int
    unit: str
    asset: int


# What is written of rules that run; conditions as text, since few of them are read again when rules change.
_ENABLED = (
    select(*(column for column in rule.c if column.name not in ("condition", "created_at", "updated_at")))
    .add_columns(cast(rule.c.condition, Text).label("written"))
    .where(rule.c.enabled)
    .order_by(rule.c.id)
)


def _rule(row: Any, condition: Any) -> Rule:
    kind = Kind(row.kind)
    return Rule(
        id=row.id,
        tenant=row.tenant_id,
        name=row.name,
        kind=kind,
        asset=row.asset,
        point=row.point,
        condition=parse_condition(kind, condition),
        priority=Priority(row.priority),
        message=row.message,
        enabled=row.enabled,
        unit=row.unit or "",
        lateness_s=row.lateness_s,
        owner=row.owner or "",
    )


def _values(body: RuleBody, now: int) -> dict[str, Any]:
    condition = parse_condition(body.kind, body.condition)
    return {
        "name": body.name,
        "kind": str(body.kind),
        "asset": body.asset,
        "point": body.point,
        "condition": msgspec.to_builtins(condition),
        "priority": str(body.priority),
        "message": body.message,
        "enabled": body.enabled,
        "unit": body.unit or None,
        "lateness_s": body.lateness_s,
        "updated_at": now,
    }


def add(connection: Connection, tenant: int, body: RuleBody, now: int, owner: str = "") -> Rule:
    """Insert a rule and return it; ``owner`` names the app that installs it."""
    values = {**_values(body, now), "tenant_id": tenant, "created_at": now, "owner": owner or None}
    key = connection.execute(insert(rule).values(values)).inserted_primary_key
    assert key is not None
    found = get(connection, tenant, key[0])
    assert found is not None
    return found


def change(connection: Connection, tenant: int, key: int, body: RuleBody, now: int) -> Rule | None:
    """Replace a rule; None when it is not there."""
    mine = and_(rule.c.id == key, rule.c.tenant_id == tenant)
    connection.execute(update(rule).where(mine).values(_values(body, now)))
    return get(connection, tenant, key)


def remove(connection: Connection, tenant: int, key: int) -> bool:
    """Delete a rule; its alarms stay. Return whether it was there."""
    mine = and_(rule.c.id == key, rule.c.tenant_id == tenant)
    return connection.execute(delete(rule).where(mine)).rowcount > 0


def get(connection: Connection, tenant: int, key: int) -> Rule | None:
    """Return a rule of a tenant."""
    row = connection.execute(select(rule).where(rule.c.id == key, rule.c.tenant_id == tenant)).one_or_none()
    return None if row is None else _rule(row, row.condition)


def named(connection: Connection, tenant: int, name: str, owner: str | None = None) -> Rule | None:
    """Return the oldest rule of a tenant with a name; ``owner`` empty for those of people, None for anybody's."""
    mine = select(rule).where(rule.c.tenant_id == tenant, rule.c.name == name).order_by(rule.c.id).limit(1)
    if owner is not None:
        mine = mine.where(func.coalesce(rule.c.owner, "") == owner)
    row = connection.execute(mine).one_or_none()
    return None if row is None else _rule(row, row.condition)


def owned(connection: Connection, tenant: int, owner: str) -> list[Rule]:
    """Return the rules of a tenant that an app installed."""
    mine = select(rule).where(rule.c.tenant_id == tenant, rule.c.owner == owner).order_by(rule.c.id)
    return [_rule(row, row.condition) for row in connection.execute(mine)]


def page(connection: Connection, tenant: int, after: int, limit: int) -> list[Rule]:
    """Return rules of a tenant in order of id."""
    query = select(rule).where(rule.c.tenant_id == tenant, rule.c.id > after).order_by(rule.c.id).limit(limit)
    return [_rule(row, row.condition) for row in connection.execute(query)]


class Enabled(NamedTuple):
    """All rules that run, of all tenants.

    Attributes:
        rules: by id, in order of id.
        failed: why a rule cannot be read, by rule id.
        digests: of what is written, by rule id.
    """

    rules: dict[int, Rule]
    failed: dict[int, str]
    digests: dict[int, int]


def enabled(connection: Connection, before: Enabled | None = None) -> Enabled:
    """Return all rules that run, of all tenants.

    Args:
        connection: the records.
        before: those read before by this process; a rule that is written as it was then is the same object.
    """
    rules: dict[int, Rule] = {}
    failed: dict[int, str] = {}
    digests: dict[int, int] = {}
    known, had = ({}, {}) if before is None else (before.digests, before.rules)
    for row in connection.execute(_ENABLED.execution_options(yield_per=2000)):
        key, digest = row.id, hash(tuple(row))
        digests[key] = digest
        if known.get(key) == digest and key in had:
            rules[key] = had[key]
            continue
        try:
            rules[key] = _rule(row, json.loads(row.written))
        except (Problem, ValueError, TypeError) as error:
            # One that an earlier version or a hand in the database wrote must not stop the others.
            failed[key] = f"cannot be read: {error}"
    return Enabled(rules, failed, digests)


# Columns as those of ``PointRow``.
_POINTS = (
    select(
        point.c.id.label("series"),
        point.c.tenant_id,
        asset.c.path,
        point.c.name,
        point.c.value_type,
        point.c.unit,
        point.c.asset_id,
    )
    .join(asset, asset.c.id == point.c.asset_id)
    .order_by(point.c.id)
)


def _rows(connection: Connection, query: Any) -> Iterator[PointRow]:
    for row in connection.execute(query.execution_options(yield_per=2000)):
        yield PointRow._make(row)


def points_for(connection: Connection, patterns: Iterable[tuple[int, str]], after: int = 0) -> Iterator[PointRow]:
    """Yield every point that may be below one of the patterns ``(tenant, asset pattern)``, each once, by series; only
    series ids beyond ``after``.

    Only the literal beginning of a pattern is searched for; the caller matches the rest.
    """
    wanted = sorted(set(patterns))
    if not wanted:
        return
    query = _POINTS.where(point.c.id > after) if after else _POINTS
    if len(wanted) <= _MAX_SEARCHES:
        searches = [and_(asset.c.tenant_id == tenant, _may_match(pattern)) for tenant, pattern in wanted]
        query = query.where(or_(*searches))
    yield from _rows(connection, query)


def points_named(connection: Connection, of: Rule, names: Collection[str] | None) -> Iterator[PointRow]:
    """Yield the points that may concern a rule, by series; with names, also those of assets below."""
    query = _POINTS.where(asset.c.tenant_id == of.tenant)
    if names is None:
        query = query.where(_may_match(of.asset))
        if not is_glob(of.point):
            query = query.where(point.c.name == of.point)
    else:
        query = query.where(_begins(literal_prefix(of.asset)), point.c.name.in_(sorted(names)))
    yield from _rows(connection, query)


def count_by_type(connection: Connection, tenant: int, prefix: str, name: str | None) -> dict[int, int]:
    """Return the numbers of points by value type, of all assets whose path begins with ``prefix``; ``name`` is that of
    the only points to count."""
    query = select(point.c.value_type, func.count()).where(point.c.tenant_id == tenant).group_by(point.c.value_type)
    if prefix:
        query = query.join(asset, asset.c.id == point.c.asset_id)
        query = query.where(asset.c.tenant_id == tenant, _begins(prefix))
    if name is not None:
        query = query.where(point.c.name == name)
    return {row.value_type: int(row[1]) for row in connection.execute(query)}


def _may_match(pattern: str) -> Any:
    if not is_glob(pattern):
        return asset.c.path == pattern
    return _begins(literal_prefix(pattern))


def _begins(prefix: str) -> Any:
    return and_(asset.c.path >= prefix, asset.c.path <= prefix + _LAST_CHARACTER)


def points_by_series(connection: Connection, series: Sequence[int]) -> list[PointRow]:
    """Return the points of some series ids; those that are gone are left out."""
    found: list[PointRow] = []
    for start in range(0, len(series), _CHUNK):
        found += _rows(connection, _POINTS.where(point.c.id.in_(series[start : start + _CHUNK])))
    return found


def newest_point(connection: Connection) -> int:
    """Return the greatest series id, 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(point.c.id), 0))).scalar_one())


def revision(connection: Connection) -> int:
    """Return a number that changes when a point may have gone or its asset may have got another path.

    Both are writes of the API, which the audit has; new points are told by ``newest_point``. Counting points instead
    would walk millions of rows.
    """
    moved = and_(audit.c.action == "asset.update", audit.c.detail.like("%path%"))
    query = select(audit.c.id).where(or_(audit.c.action.in_(("asset.delete", "point.delete")), moved))
    return int(connection.execute(query.order_by(audit.c.id.desc()).limit(1)).scalar() or 0)
