"""Floods of alarms: a rule that raises very many is cut off, which is counted, and goes on when the minute is over."""

from typing import Any

import numpy as np

from gongfu.kernel.times import SECOND
from gongfu.reason.rules.instances import InstanceTable
from gongfu.reason.rules.state import NO_CHANGES, Changes

# A rule that raises more than this in a minute is a flood (EEMUA 191 speaks of one from 10 in ten minutes for one
# operator); the rest is withheld, counted, and raised later if it still stands.
MAX_RAISES_PER_MINUTE = 1000
_MINUTE = 60 * SECOND


class FloodBound:
    """Bounds the raises of each rule in a minute of ingest time.

    Attributes:
        most: raises of a rule in a minute.
        withheld: raises withheld since the worker started, by rule id.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.withheld: dict[int, int] = {}
        self._minute = 0
        self._raises: dict[int, int] = {}

    def document(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"minute": self._minute, "raises": {str(key): number for key, number in self._raises.items()}}

    def resume(self, document: dict[str, Any]) -> None:
        """Go on from what ``document`` gave."""
        self._minute = int(document["minute"])
        self._raises = {int(key): int(number) for key, number in document["raises"].items()}

    def _raised(self, rule: int, minute: int) -> int:
        if minute != self._minute:
            self._minute, self._raises = minute, {}
        return self._raises.get(rule, 0)

    def again(self, table: InstanceTable, now: int) -> Changes:
        """Return raises that were withheld and still stand, as many as the bound allows now (UTC ns)."""
        minute = now // _MINUTE
        state = table.state
        if not bool(state.withheld.any()):
            return NO_CHANGES
        standing = np.flatnonzero(state.withheld)
        chosen = [np.zeros(0, dtype=np.intp)]
        for rule in np.unique(table.rule[standing]).tolist():
            of_rule = standing[table.rule[standing] == rule]
            chosen.append(of_rule[: self.most - self._raised(table.rules[rule].id, minute)])
        again = np.concatenate(chosen)
        state.withheld[again] = False
        return Changes(
            again.astype(np.uint32),
            np.ones(len(again), dtype=np.bool_),
            state.raised_at[again],
            state.raised_at[again],
            state.since_value[again],
        )

    def admit(self, table: InstanceTable, changes: Changes, now: int) -> Changes:
        """Withhold raises beyond the bound, and the returns of withheld raises; ``now`` is UTC ns."""
        minute = now // _MINUTE
        withheld = table.state.withheld
        raising = table.rule[changes.instances[changes.raised]]
        rules, numbers = np.unique(raising, return_counts=True)
        after = {
            table.rules[rule].id: self._raised(table.rules[rule].id, minute) + number
            for rule, number in zip(rules.tolist(), numbers.tolist(), strict=True)
        }
        if all(number <= self.most for number in after.values()) and not withheld[changes.instances].any():
            self._raises.update(after)
            return changes
        # One by one from here: a flood is bounded by the block and must come out exactly.
        keep = np.zeros(len(changes), dtype=np.bool_)
        for at, (instance, raised) in enumerate(zip(changes.instances.tolist(), changes.raised.tolist(), strict=True)):
            if not raised:
                keep[at] = not withheld[instance]
                withheld[instance] = False
                continue
            rule = table.rules[table.rule[instance]].id
            used = self._raised(rule, minute)
            keep[at] = used < self.most
            withheld[instance] = not keep[at]
            if keep[at]:
                self._raises[rule] = used + 1
            else:
                self.withheld[rule] = self.withheld.get(rule, 0) + 1
        return changes.where(keep)
