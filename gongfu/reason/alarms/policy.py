"""What is decided of alarms, as a transaction that raises some needs it: suppressions, designs, rationalisation."""

from collections.abc import Callable

from sqlalchemy import Connection, and_, or_, select

from gongfu.reason.alarms import records
from gongfu.reason.alarms.rationalisation import records as rationalisations
from gongfu.reason.alarms.rationalisation.types import Record, record_of
from gongfu.reason.alarms.states import STANDING, State
from gongfu.reason.alarms.suppression import records as suppressions
from gongfu.reason.alarms.suppression.matching import Suppressed, Suppressor, holds, in_scope, matches
from gongfu.reason.alarms.suppression.types import AlarmCause, Design, FirstOut, Pattern, Place, PointCause, Scope
from gongfu.reason.rules.patterns import asset_pattern
from gongfu.registry.tables import asset, point

Latest = Callable[[int], float | None]


class Policy:
    """Reads what is decided; keeps between transactions what did not change."""

    def __init__(self, latest: Latest = lambda series: None) -> None:
        """Set up.

        Args:
            latest: the latest value of a series, where this process has it; None elsewhere.
        """
        self._latest = latest
        self._revision: tuple[int, int, int] | None = None
        self._records: dict[int, list[Record]] = {}

    def read(self, connection: Connection) -> "Decisions":
        """Return what is decided at present."""
        revision = rationalisations.revision(connection)
        if revision != self._revision:
            self._records = {}
            for tenant, _, record in rationalisations.all_of(connection) if revision[0] else ():
                self._records.setdefault(tenant, []).append(record)
            self._revision = revision
        found = suppressions.designs(connection)
        designs = {key: item for key, (_, item) in found.items() if item.enabled}
        by_tenant: dict[int, list[tuple[int, Design]]] = {}
        for key, item in designs.items():
            by_tenant.setdefault(found[key][0], []).append((key, item))
        suppressor = Suppressor(suppressions.in_force(connection), designs)
        return Decisions(connection, suppressor, by_tenant, self._records, self._latest)


class Decisions:
    """What is decided, for one transaction."""

    def __init__(
        self,
        connection: Connection,
        suppressor: Suppressor,
        designs: dict[int, list[tuple[int, Design]]],
        rationalised: dict[int, list[Record]],
        latest: Latest,
    ) -> None:
        self._connection = connection
        self._suppressor = suppressor
        self._designs = designs
        self._records = rationalised
        self._latest = latest
        self._begun: list[Place] = []

    def begun(self, place: Place) -> None:
        """Note an alarm that this transaction raises: others of it may be its consequences."""
        self._begun.append(place)

    def suppression_of(self, place: Place, now: int, key: str = "") -> Suppressed | None:
        """Return what suppresses an alarm now; ``key`` is its id where it is on record."""
        return self._suppressor.of(place, now, lambda at: self._by_design(at, key))

    def record_of(self, place: Place, source: str = "") -> Record | None:
        """Return the rationalisation of an alarm."""
        return record_of(self._records.get(place.tenant, []), place, source)

    def _by_design(self, place: Place, key: str) -> int | None:
        for number, design in self._designs.get(place.tenant, ()):
            if any(matches(one, place) for one in design.suppresses) and self._holds(design, place, key):
                return number
        return None

    def _holds(self, design: Design, place: Place, key: str) -> bool:
        cause = design.cause
        if isinstance(cause, PointCause):
            return self._point_holds(cause, design.scope, place)
        if isinstance(cause, AlarmCause):
            wanted = [Pattern(rule_id=cause.rule_id, asset=cause.asset, point=cause.point)]
            return self._stands(wanted, design.scope, place, key, first=False)
        assert isinstance(cause, FirstOut)
        return self._stands(design.suppresses, design.scope, place, key, first=True)

    def _point_holds(self, cause: PointCause, scope: Scope, place: Place) -> bool:
        paths = _places_of(scope, place.asset, cause.asset)
        paths = [path for path in paths if asset_pattern(cause.asset).fullmatch(path)]
        if not paths:
            return False  # beside: the caretaker knows
        mine = and_(asset.c.tenant_id == place.tenant, asset.c.path.in_(paths), point.c.name == cause.point)
        query = select(point.c.id).join(asset, asset.c.id == point.c.asset_id).where(mine)
        for row in self._connection.execute(query):
            value = self._latest(row.id)
            if value is not None and holds(value, cause.operator, cause.value):
                return True
        return False

    def _stands(self, wanted: list[Pattern], scope: Scope, place: Place, key: str, *, first: bool) -> bool:
        """Return whether another alarm that matches stands in scope; ``first``: and was raised before this one."""
        c = records.alarm.c
        # What is itself suppressed by design is no cause: two alarms must not silence each other. Of a first-out group
        # the order of the raises decides, so there it counts.
        states = STANDING if first else STANDING - {State.SUPPRESSED_BY_DESIGN}
        mine = and_(c.tenant_id == place.tenant, c.state.in_(sorted(states)), c.id != key)
        rules = {one.rule_id for one in wanted}
        if 0 not in rules:
            mine = and_(mine, c.rule_id.in_(sorted(rules)))
        if first and key:
            row = self._connection.execute(select(c.raised_at, c.id).where(c.id == key)).one_or_none()
            if row is not None:
                mine = and_(mine, or_(c.raised_at < row.raised_at, and_(c.raised_at == row.raised_at, c.id < row.id)))
        query = select(c.rule_id, c.asset_path, c.point).where(mine).order_by(c.raised_at).limit(_MAX_CAUSES)
        standing = [Place(place.tenant, *row) for row in self._connection.execute(query)]
        here = () if key else self._begun
        return any(
            other != place
            and other.tenant == place.tenant
            and in_scope(scope, other.asset, place.asset)
            and any(matches(one, other) for one in wanted)
            for other in (*standing, *here)
        )


# Standing alarms that are looked at for a cause; a tenant with more has other worries.
_MAX_CAUSES = 10_000


def _places_of(scope: Scope, path: str, cause: str) -> list[str]:
    """Return where a cause may be that speaks for an alarm at ``path``; empty where that cannot be told."""
    if scope is Scope.SAME:
        return [path]
    if scope is Scope.ANY:
        return [cause]
    if scope is Scope.BELOW:
        parts = path.split("/")
        return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return []
