"""Tables and queries of alarms. The journal is append-only."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    and_,
    bindparam,
    false,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)

from gongfu.reason.alarms.states import AGAIN, ANNUNCIATED, OPEN, STANDING, Change, State
from gongfu.registry import tables
from gongfu.store.records.engine import Key, metadata, name_text

# Few alarms are annunciated a second time; their index costs the others nothing. Queries must say it word by word.
_AGAIN = f"change IN ({', '.join(repr(str(change)) for change in AGAIN)})"

# Names and paths are those at the time of the raise: an alarm is a record of what was, whatever is renamed later.
alarm = Table(
    "alarm",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("rule_id", BigInteger, nullable=False),
    Column("rule_name", String(200), nullable=False),
    Column("series", BigInteger, nullable=False),
    Column("asset_path", name_text(1000), nullable=False),
    Column("point", String(200), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("state", String(32), nullable=False),
    Column("message", Text, nullable=False),
    # In Chinese; empty when there is only ``message``.
    Column("message_zh", Text, nullable=False, server_default=text("''")),
    Column("value", Float(53), nullable=True),
    Column("limit_value", Float(53), nullable=True),
    Column("unit", String(60), nullable=False),
    # Source time, UTC ns.
    Column("raised_at", BigInteger, nullable=False),
    Column("returned_at", BigInteger, nullable=True),
    # The node's time, UTC ns.
    Column("acknowledged_at", BigInteger, nullable=True),
    Column("acknowledged_by", String(120), nullable=True),
    Column("closed_at", BigInteger, nullable=True),
    Column("recorded_at", BigInteger, nullable=False),
    # Empty for alarms of rules, whose instance is (rule_id, series); of others it is (source, source_key).
    Column("source", String(200), nullable=False, server_default=text("''")),
    Column("source_key", String(300), nullable=False, server_default=text("''")),
    # As the rationalisation says at the raise.
    Column("latching", Boolean, nullable=False, server_default=false()),
    Column("realarm_s", Integer, nullable=False, server_default="0"),
    # The node's time: when an operator was told last.
    Column("annunciated_at", BigInteger, nullable=True),
    Column("raised_suppressed", Boolean, nullable=False, server_default=false()),
    Column("suppressed_by", BigInteger, nullable=True),
    Index("ix_alarm_tenant_id_recorded_at", "tenant_id", "recorded_at"),
    Index(
        "ix_alarm_tenant_id_recorded_at_unseen",
        "tenant_id",
        "recorded_at",
        sqlite_where=text("raised_suppressed"),
    ),
    Index("ix_alarm_tenant_id_closed_at", "tenant_id", "closed_at"),
    Index(
        "ix_alarm_source_source_key",
        "source",
        "source_key",
        "raised_at",
        sqlite_where=text("source <> ''"),
    ),
    Index("ix_alarm_tenant_id_raised_at_id", "tenant_id", "raised_at", "id"),
    Index("ix_alarm_tenant_id_state", "tenant_id", "state"),
    Index("ix_alarm_rule_id_series_state", "rule_id", "series", "state"),
)

alarm_journal = Table(
    "alarm_journal",
    metadata,
    Column("id", Key, primary_key=True),
    Column("alarm_id", ForeignKey("alarm.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("change", String(16), nullable=False),
    Column("by_user", String(120), nullable=False),
    Column("comment", Text, nullable=False),
    Column("value", Float(53), nullable=True),
    # After the change.
    Column("state", String(32), nullable=False, server_default=text("''")),
    Index("ix_alarm_journal_alarm_id_id", "alarm_id", "id"),
    Index(
        "ix_alarm_journal_recorded_at_again",
        "recorded_at",
        sqlite_where=text(_AGAIN),
    ),
    sqlite_autoincrement=True,
)

AGAIN_ONLY = text(_AGAIN)
UNSEEN = text("raised_suppressed")

_CHUNK = 400

AlarmRow = Row[Any]


def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> dict[str, AlarmRow]:
    """Return alarms by id; ``lock`` keeps others from changing them until the transaction ends.

    Whoever locks many gives them all at once: they are locked in order of id, so that no two wait for each other.
    """
    found: dict[str, AlarmRow] = {}
    ids = sorted(ids)
    for start in range(0, len(ids), _CHUNK):
        query = select(alarm).where(alarm.c.id.in_(ids[start : start + _CHUNK])).order_by(alarm.c.id)
        found.update((row.id, row) for row in connection.execute(query.with_for_update() if lock else query))
    return found


def open_of(connection: Connection, instances: Sequence[tuple[int, int]]) -> list[str]:
    """Return the ids of the open alarms of some ``(rule, series)``."""
    found: list[str] = []
    for start in range(0, len(instances), _CHUNK):
        by_rule: dict[int, list[int]] = {}
        for rule, series in instances[start : start + _CHUNK]:
            by_rule.setdefault(rule, []).append(series)
        # Rule by rule, each with the states: SQLite walks all alarms that ever were for pairs in a list.
        some = [
            and_(alarm.c.rule_id == rule, alarm.c.series.in_(series), alarm.c.state.in_(sorted(OPEN)))
            for rule, series in by_rule.items()
        ]
        found += connection.execute(select(alarm.c.id).where(or_(*some))).scalars()
    return found


def open_of_sources(connection: Connection, instances: Collection[tuple[int, str, str]]) -> list[str]:
    """Return the ids of the open alarms of some ``(tenant, source, key)``."""
    found: list[str] = []
    by_source: dict[tuple[int, str], list[str]] = {}
    for tenant, source, key in instances:
        by_source.setdefault((tenant, source), []).append(key)
    for (tenant, source), keys in by_source.items():
        c = alarm.c
        mine = and_(c.source == source, c.source_key.in_(keys), c.tenant_id == tenant, c.state.in_(sorted(OPEN)))
        found += connection.execute(select(c.id).where(mine)).scalars()
    return found


def active(connection: Connection) -> list[AlarmRow]:
    """Return all alarms of rules whose condition holds, of all tenants."""
    # By tenant, as the index is: the others are all alarms that ever were.
    tenants = select(tables.tenant.c.id)
    mine = and_(alarm.c.tenant_id.in_(tenants), alarm.c.state.in_(sorted(STANDING)), alarm.c.source == "")
    query = select(alarm).where(mine)
    return list(connection.execute(query))


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert alarms."""
    if rows:
        connection.execute(insert(alarm), rows)


def set_states(connection: Connection, changes: Sequence[tuple[str, State, dict[str, Any]]]) -> None:
    """Change alarms ``(id, state before, values)`` that the transaction has locked.

    Those of equal columns go together: a statement for each would cost more than all else.

    Raises:
        RuntimeError: one was not in its state any more, so it was not locked.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, before, values in changes:
        row = {"b_id": key, "b_state": str(before), **{f"v_{name}": value for name, value in values.items()}}
        groups.setdefault(tuple(sorted(values)), []).append(row)
    for names, rows in groups.items():
        mine = and_(alarm.c.id == bindparam("b_id"), alarm.c.state == bindparam("b_state"))
        query = update(alarm).where(mine).values({name: bindparam(f"v_{name}") for name in names})
        done = connection.execute(query, rows)
        if connection.dialect.supports_sane_multi_rowcount and done.rowcount != len(rows):
            raise RuntimeError(f"{len(rows) - done.rowcount} of {len(rows)} alarms changed although they were locked")


def journal(
    key: str,
    change: Change,
    state: State,
    time: int,
    now: int,
    *,
    by: str = "",
    comment: str = "",
    value: float | None = None,
) -> dict[str, Any]:
    """Return a row of the journal; ``state`` is that after the change."""
    return {
        "alarm_id": key,
        "time": time,
        "recorded_at": now,
        "change": str(change),
        "by_user": by,
        "comment": comment,
        "value": value,
        "state": str(state),
    }


def add_journal(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append to the journal."""
    if rows:
        connection.execute(insert(alarm_journal), rows)


def journal_of(connection: Connection, key: str) -> list[AlarmRow]:
    """Return the journal of an alarm in order."""
    query = select(alarm_journal).where(alarm_journal.c.alarm_id == key).order_by(alarm_journal.c.id)
    return list(connection.execute(query))


def page(
    connection: Connection,
    tenant: int,
    states: Collection[State],
    priority: str | None,
    asset: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[AlarmRow]:
    """Return alarms of a tenant, newest raise first. ``asset`` is a path; alarms below it count too."""
    query = select(alarm).where(alarm.c.tenant_id == tenant)
    if len(states) < len(State):
        query = query.where(alarm.c.state.in_(sorted(states)))
    if priority is not None:
        query = query.where(alarm.c.priority == priority)
    if asset is not None:
        below = and_(alarm.c.asset_path > asset + "/", alarm.c.asset_path < asset + "0")  # "0" follows "/"
        query = query.where(or_(alarm.c.asset_path == asset, below))
    if after is not None:
        query = query.where(tuple_(alarm.c.raised_at, alarm.c.id) < after)
    query = query.order_by(alarm.c.raised_at.desc(), alarm.c.id.desc()).limit(limit)
    return list(connection.execute(query))


def count_by_state(connection: Connection, tenant: int) -> dict[str, int]:
    """Return the number of open alarms of a tenant by state."""
    query = (
        select(alarm.c.state, func.count())
        .where(alarm.c.tenant_id == tenant, alarm.c.state.in_(sorted(OPEN)))
        .group_by(alarm.c.state)
    )
    return {state: int(number) for state, number in connection.execute(query)}


def count_open(connection: Connection) -> int:
    """Return the number of open alarms of all tenants that are not suppressed."""
    query = select(func.count()).select_from(alarm).where(alarm.c.state.in_(sorted(ANNUNCIATED)))
    return int(connection.execute(query).scalar_one())


def revision(connection: Connection, tenant_id: int) -> str:
    """Return a text that changes whenever an alarm of the tenant does: each change appends to the journal."""
    count = select(func.count()).where(alarm.c.tenant_id == tenant_id)
    last = select(func.coalesce(func.max(alarm_journal.c.id), 0))
    return f"{connection.execute(count).scalar_one()}.{connection.execute(last).scalar_one()}"


def plain_page(connection: Connection, tenant_id: int, after: tuple[int, str] | None, limit: int) -> Sequence[AlarmRow]:
    """Return alarms of a tenant by time of raise, oldest first."""
    query = select(alarm).where(alarm.c.tenant_id == tenant_id).order_by(alarm.c.raised_at, alarm.c.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(alarm.c.raised_at, alarm.c.id) > tuple_(*after))
    return connection.execute(query).all()
