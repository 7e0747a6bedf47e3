"""What the events of one thing come to: stays in other things, what it holds, what was made of what. Pure.

Times decide: events may be stored in any order. Where one time is that of several events, the order of storing does.
"""

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.rows import Mention, Role
from gongfu.identify.epcis.trace_model import LATEST, Change, History, Stay

_KINDS = {"AggregationEvent": "aggregation", "AssociationEvent": "association"}


class ExhaustedError(Exception):
    """A trace has read as many events as it may."""


class Movements:
    """Reads the events of things once each, for one trace."""

    def __init__(self, history: History, *, events: int = 100_000) -> None:
        """Make it.

        Args:
            history: events by what they name.
            events: that are read at most, and mentions of one thing.
        """
        self._history = history
        self._most = events
        self._mentions: dict[str, list[Mention]] = {}
        self._facts: dict[int, Facts] = {}
        self._contents: dict[str, list[Stay]] = {}

    def mentions(self, thing: str) -> list[Mention]:
        """Return which events name a thing, by time."""
        if thing not in self._mentions:
            mentions = sorted(self._history.mentions(thing, self._most + 1))
            if len(mentions) > self._most:
                raise ExhaustedError
            self._mentions[thing] = mentions
        return self._mentions[thing]

    def facts(self, number: int) -> Facts:
        """Return what an event says.

        Raises:
            ExhaustedError: enough were read.
        """
        if number not in self._facts:
            if len(self._facts) >= self._most:
                raise ExhaustedError
            self._facts[number] = self._history.facts(number)
        return self._facts[number]

    def stays(self, thing: str) -> list[Stay]:
        """Return when a thing was in which others, by the time it was put in."""
        found = {
            stay
            for parent, kind in self._parents(thing)
            for stay in self.contents(parent)
            if stay.child == thing and stay.kind == kind
        }
        return sorted(found, key=lambda stay: (stay.since, stay.number, stay.parent))

    def _parents(self, thing: str) -> set[tuple[str, str]]:
        found = set[tuple[str, str]]()
        for mention in self.mentions(thing):
            if mention.role is Role.CHILD:
                facts = self.facts(mention.number)
                if facts.parent and facts.action == "ADD":
                    found.add((facts.parent, _KINDS[facts.kind]))
        return found

    def contents(self, parent: str) -> list[Stay]:
        """Return what was in a thing, and when; a class counts as in until it is taken out without an amount."""
        if parent in self._contents:
            return self._contents[parent]
        open_: dict[tuple[str, str], tuple[int, int]] = {}
        found = list[Stay]()

        def end(child: str, kind: str, time: int) -> None:
            since, number = open_.pop((child, kind))
            found.append(Stay(child, parent, since, time, number, kind))

        for mention in self.mentions(parent):
            if mention.role is not Role.PARENT:
                continue
            facts = self.facts(mention.number)
            kind = _KINDS[facts.kind]
            children = [*facts.things, *(item.thing for item in facts.classes)]
            if facts.action == "ADD":
                for child in children:
                    open_.setdefault((child, kind), (mention.time, mention.number))
            elif facts.action == "DELETE":
                # Without children all of them are meant (EPCIS 2.0 §7.4.3).
                gone = facts.things or [] if children else [child for child, of in open_ if of == kind]
                for child in gone:
                    if (child, kind) in open_:
                        end(child, kind, mention.time)
                for item in facts.classes:
                    if (item.thing, kind) in open_ and self._all_taken(parent, item.thing, mention):
                        end(item.thing, kind, mention.time)
        for child, kind in list(open_):
            end(child, kind, LATEST)
        self._contents[parent] = found
        return found

    def _all_taken(self, parent: str, thing: str, until: Mention) -> bool:
        """Tell whether a class is gone from a parent: taken out without an amount, or as much as was put in."""
        left: dict[str, float] = {}
        for mention in self.mentions(parent):
            if mention > until or mention.role is not Role.PARENT:
                continue
            facts = self.facts(mention.number)
            sign = {"ADD": 1, "DELETE": -1}.get(facts.action, 0)
            for item in facts.classes:
                if item.thing != thing or not sign:
                    continue
                if item.amount is None:
                    if sign < 0 and mention.number == until.number:
                        return True
                    continue
                left[item.unit] = left.get(item.unit, 0) + sign * item.amount
        return all(amount <= 1e-9 for amount in left.values())

    def held_at(self, parent: str, time: int) -> list[Stay]:
        """Return what was in a thing at a time."""
        return [stay for stay in self.contents(parent) if stay.since <= time < stay.until]

    def changes(self, thing: str, role: Role) -> list[tuple[int, Change]]:
        """Return the transformations that a thing went into or came out of, with its own time in each."""
        found = list[tuple[int, Change]]()
        told = dict[str, Change]()
        for mention in self.mentions(thing):
            if mention.role is not role:
                continue
            facts = self.facts(mention.number)
            if not facts.transformation:
                found.append((mention.time, self._change([mention.number])))
                continue
            name = facts.transformation
            if name not in told:
                told[name] = self._change(list(self._history.transformation(name)))
            found.append((mention.time, told[name]))
        return found

    def _change(self, numbers: list[int]) -> Change:
        inputs: dict[str, int] = {}
        outputs: dict[str, int] = {}
        for number in numbers:
            facts = self.facts(number)
            for thing in (*facts.inputs, *(item.thing for item in facts.input_classes)):
                inputs[thing] = max(inputs.get(thing, facts.time), facts.time)
            for thing in (*facts.outputs, *(item.thing for item in facts.output_classes)):
                outputs[thing] = min(outputs.get(thing, facts.time), facts.time)
        return Change(tuple(inputs.items()), tuple(outputs.items()), tuple(numbers))

    def members(self, lot: str) -> list[tuple[str, Mention]]:
        """Return the instances of a lot, as far as events say so."""
        return [
            (thing, mention)
            for mention in self.mentions(lot)
            if mention.role is Role.LOT_OF
            for thing, of in self.facts(mention.number).lots()
            if of == lot
        ]

    def lots(self, thing: str) -> list[tuple[str, Mention]]:
        """Return the lots of an instance, as far as events say so."""
        return [
            (of, mention)
            for mention in self.mentions(thing)
            if mention.role is Role.OF_LOT
            for named, of in self.facts(mention.number).lots()
            if named == thing
        ]
