"""Alarms while a transaction works on them: every change goes by the table of states and into the journal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from gongfu.reason.alarms import records
from gongfu.reason.alarms.documents import document
from gongfu.reason.alarms.states import ACTIVE, AGAIN, SUPPRESSED, Change, State, change_to, next_state
from gongfu.reason.alarms.suppression.matching import Suppressed
from gongfu.reason.alarms.types import AlarmEvent

# What an alarm is an occurrence of: (rule, series), or (tenant, source, key).
Instance = tuple[int, int] | tuple[int, str, str]


@dataclass(slots=True)
class _Held:
    """An alarm while a transaction works on it: the state in the records, and the one to be."""

    row: dict[str, Any]
    before: State | None
    values: dict[str, Any]

    @property
    def state(self) -> State:
        return State(self.values["state"] if "state" in self.values else self.row["state"])


def instance_of(row: Mapping[str, Any]) -> Instance:
    """Return what a row of ``alarm`` is an occurrence of."""
    if row["source"]:
        return row["tenant_id"], row["source"], row["source_key"]
    return row["rule_id"], row["series"]


class Alarms:
    """The alarms of one transaction. ``load`` what may change, locked; change it; ``store``."""

    def __init__(self, connection: Connection, now: int) -> None:
        self._connection = connection
        self._now = now
        self._alarms: dict[str, _Held] = {}
        self._open: dict[Instance, list[str]] = {}
        self._journal: list[dict[str, Any]] = []

    def load(self, rows: Iterable[records.AlarmRow]) -> None:
        """Take up alarms as they are in the records."""
        for row in rows:
            if row.id not in self._alarms:
                held = _Held(dict(row._mapping), State(row.state), {})
                self._alarms[row.id] = held
                if row.state != State.CLOSED:
                    self._open.setdefault(instance_of(held.row), []).append(row.id)

    def __contains__(self, key: str) -> bool:
        return key in self._alarms

    def state(self, key: str) -> State:
        """Return the state an alarm has by now."""
        return self._alarms[key].state

    def row(self, key: str) -> dict[str, Any]:
        """Return an alarm's row as it was read."""
        return self._alarms[key].row

    def open_of(self, instance: Instance) -> list[str]:
        """Return the ids of its open occurrences; one at most once this transaction is over."""
        return [key for key in self._open.get(instance, ()) if self._alarms[key].state is not State.CLOSED]

    def begin(self, row: dict[str, Any], suppressed: Suppressed | None) -> None:
        """Begin an occurrence; those of the same instance that are open end.

        Args:
            row: all columns of ``alarm`` but those that follow from the state.
            suppressed: what suppresses the alarm.
        """
        key, at = row["id"], row["raised_at"]
        instance = instance_of(row)
        for earlier in self._open.pop(instance, []):
            # A source tells of one raise at a time, so an earlier one has returned, noticed or not.
            self.change(earlier, Change.RETURNED, at, "returned unnoticed")
            self.change(earlier, Change.SUPERSEDED, at)
        state = next_state(suppressed.state if suppressed else None, Change.RAISED)
        assert state is not None
        self._alarms[key] = _Held(
            {
                **row,
                "annunciated_at": None if suppressed else self._now,
                "raised_suppressed": suppressed is not None,
                "suppressed_by": suppressed.by if suppressed else None,
            },
            None,
            {"state": state},
        )
        self._open[instance] = [key]
        self._note(key, Change.RAISED, state, at, "", row["value"], "")

    def change(
        self, key: str, change: Change, time: int, comment: str = "", value: float | None = None, by: str = ""
    ) -> bool:
        """Change an alarm if its state allows it; return whether it did.

        Args:
            key: the alarm's id; nothing happens when it was not loaded.
            change: what happens; the return of a latching alarm latches it.
            time: source time for what the process does, else the node's; UTC ns.
            comment: for the journal.
            value: for the journal.
            by: the person.
        """
        held = self._alarms.get(key)
        if held is None:
            return False
        if change is Change.RETURNED and held.row.get("latching") and held.state in ACTIVE:
            change = Change.LATCHED
        state = next_state(held.state, change)
        if state is None:
            return False
        held.values["state"] = state
        if change in (Change.RETURNED, Change.LATCHED):
            held.values["returned_at"] = time
        if change is Change.ACKNOWLEDGED:
            held.values |= {"acknowledged_at": time, "acknowledged_by": by}
        if change in AGAIN:
            held.values |= {"annunciated_at": self._now, "acknowledged_at": None, "acknowledged_by": None}
        if state not in SUPPRESSED and held.row.get("suppressed_by") is not None:
            held.values["suppressed_by"] = None
        if state is State.CLOSED:
            held.values["closed_at"] = self._now
        self._note(key, change, state, time, comment, value, by)
        return True

    def align(self, key: str, suppressed: Suppressed | None, by: str = "", comment: str = "") -> bool:
        """Bring an alarm in line with what suppresses it at present; return whether it changed.

        An alarm whose condition still stands when its suppression ends is annunciated then.
        """
        held = self._alarms[key]
        if suppressed is not None and held.state is suppressed.state and held.row.get("suppressed_by") != suppressed.by:
            # On record by now, or what suppressed it has ended and another goes on.
            held.values |= {"state": held.state, "suppressed_by": suppressed.by}
            return False
        change = change_to(held.state, suppressed.state if suppressed else None)
        if change is None or not self.change(key, change, self._now, comment, None, by):
            return False
        if suppressed is not None and held.state in SUPPRESSED:
            held.values["suppressed_by"] = suppressed.by
        return True

    def _note(
        self, key: str, change: Change, state: State, time: int, comment: str, value: float | None, by: str
    ) -> None:
        entry = records.journal(key, change, state, time, self._now, by=by, comment=comment, value=value)
        self._journal.append(entry)

    def store(self) -> list[AlarmEvent]:
        """Write all that changed, and return it."""
        changed = [item for item in self._alarms.values() if item.values]
        new = [{**item.row, **_plain(item.values)} for item in changed if item.before is None]
        records.add(self._connection, new)
        # The rows are locked (or the whole database is), so the states are still what was read.
        before = [(item.row["id"], item.before, _plain(item.values)) for item in changed if item.before is not None]
        records.set_states(self._connection, before)
        records.add_journal(self._connection, self._journal)
        return [AlarmEvent(item.row["tenant_id"], document({**item.row, **_plain(item.values)})) for item in changed]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, State) else value for name, value in values.items()}
