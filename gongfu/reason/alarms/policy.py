"""What is decided of alarms, as a transaction that raises some needs it: suppressions, designs, rationalisation."""

from collections.abc import Callable

from sqlalchemy import Connection, and_, select

from gongfu.reason.alarms import records
from gongfu.reason.alarms.causes import LAST, Causes, Order, Standing
from gongfu.reason.alarms.rationalisation import records as rationalisations
from gongfu.reason.alarms.rationalisation.types import Record, record_of
from gongfu.reason.alarms.states import STANDING, State
from gongfu.reason.alarms.suppression import records as suppressions
from gongfu.reason.alarms.suppression.matching import Suppressed, Suppressor, holds, matches
from gongfu.reason.alarms.suppression.types import AlarmCause, Design, FirstOut, Pattern, Place, PointCause, Scope
from gongfu.reason.rules.patterns import asset_pattern
from gongfu.registry.tables import asset, point

Latest = Callable[[int], float | None]


class Policy:
    """Reads what is decided; keeps between transactions what did not change."""

    def __init__(self, latest: Latest | None = None) -> None:
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
        latest: Latest | None,
    ) -> None:
        self._connection = connection
        self._suppressor = suppressor
        self._designs = designs
        self._records = rationalised
        self._latest = latest
        self._begun: list[Place] = []
        # By design.
        self._causes: dict[int, Causes] = {}

    def begun(self, place: Place) -> None:
        """Note an alarm that this transaction raises: others of it may be its consequences."""
        self._begun.append(place)
        for number, design in self._designs.get(place.tenant, ()):
            if number in self._causes and any(matches(one, place) for one in _wanted(design)):
                self._causes[number].add(Standing(LAST, place))

    def changed(self) -> None:
        """Note that the transaction has written alarms, so that what stands is read again."""
        self._causes, self._begun = {}, []

    def may_suppress(self, tenant: int) -> bool:
        """Return whether there is anything that suppresses alarms of a tenant."""
        return bool(self._designs.get(tenant)) or self._suppressor.has(tenant)

    def suppression_of(self, place: Place, now: int, order: Order | None = None) -> Suppressed | None:
        """Return what suppresses an alarm now; ``order`` is when it was raised, and its id, where it is on record."""
        return self._suppressor.of(place, now, lambda at: self._by_design(at, order))

    def record_of(self, place: Place, source: str = "") -> Record | None:
        """Return the rationalisation of an alarm."""
        return record_of(self._records.get(place.tenant, []), place, source)

    def _by_design(self, place: Place, order: Order | None) -> int | None:
        for number, design in self._designs.get(place.tenant, ()):
            if any(matches(one, place) for one in design.suppresses) and self._holds(number, design, place, order):
                return number
        return None

    def _holds(self, number: int, design: Design, place: Place, order: Order | None) -> bool:
        cause = design.cause
        if isinstance(cause, PointCause):
            return self._point_holds(cause, design.scope, place)
        causes = self._causes_of(number, design, place.tenant)
        return causes.hold_for(place, order if isinstance(cause, FirstOut) else None)

    def _point_holds(self, cause: PointCause, scope: Scope, place: Place) -> bool:
        if self._latest is None:
            return False  # the caretaker asks, and what it hears is on record
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

    def _causes_of(self, number: int, design: Design, tenant: int) -> Causes:
        """Return the standing alarms that are causes of a design; read once, since a transaction may ask for many."""
        found = self._causes.get(number)
        if found is not None:
            return found
        c, wanted = records.alarm.c, _wanted(design)
        # What is itself suppressed by design is no cause: two alarms must not silence each other. Of a first-out group
        # the order of the raises decides, so there it counts.
        states = STANDING if isinstance(design.cause, FirstOut) else STANDING - {State.SUPPRESSED_BY_DESIGN}
        mine = and_(c.tenant_id == tenant, c.state.in_(sorted(states)))
        rules = {one.rule_id for one in wanted}
        if 0 not in rules:
            mine = and_(mine, c.rule_id.in_(sorted(rules)))
        query = select(c.raised_at, c.id, c.rule_id, c.asset_path, c.point).where(mine)
        rows = self._connection.execute(query.order_by(c.raised_at, c.id).limit(_MAX_CAUSES)).all()
        standing = [Standing((at, key), Place(tenant, *place)) for at, key, *place in rows]
        standing += [Standing(LAST, place) for place in self._begun if place.tenant == tenant]
        matching = (one for one in standing if any(matches(item, one.place) for item in wanted))
        found = self._causes[number] = Causes(design.scope, matching)
        return found


def _wanted(design: Design) -> list[Pattern]:
    """Return the alarms that are causes of a design whose cause is an alarm."""
    cause = design.cause
    if isinstance(cause, AlarmCause):
        return [Pattern(rule_id=cause.rule_id, asset=cause.asset, point=cause.point)]
    return design.suppresses


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
