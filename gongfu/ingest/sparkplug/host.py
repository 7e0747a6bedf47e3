"""The Sparkplug host application of a front door: sessions, rebirth requests and commands, on the door's event loop."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gongfu.ingest.columnise.sparkplug import split_topic
from gongfu.ingest.columnise.sparkplug_births import Birth, Order
from gongfu.ingest.sparkplug.arrivals import Arrival, birth_sequence_of, death_payload, sequence_of
from gongfu.ingest.sparkplug.commands import REBIRTH, Expectation, command_payload, rebirth_payload
from gongfu.ingest.sparkplug.rebirths import Rebirths, Throttle
from gongfu.ingest.sparkplug.sessions import Bounds, EdgeSession, EdgeSessions, Key, Phase, Why
from gongfu.ingest.sparkplug.units import UnitFollower
from gongfu.ingest.types import Done, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, not_found, unavailable
from gongfu.kernel.times import MILLISECOND, SECOND, Clock

_DATA = frozenset({"NDATA", "DDATA", "DBIRTH", "DDEATH"})
_BIRTHS = frozenset({"NBIRTH", "DBIRTH"})
_TOPICS = 100_000
# Commands that wait for their effect, of one edge node.
MAX_COMMANDS = 32

# Publishes for a tenant: topic, payload, QoS, retained.
Publish = Callable[[int, str, bytes, int, bool], None]


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What a host application is set to.

    Attributes:
        bounds: bounds of the sessions.
        throttle: how often rebirths are asked for.
    """

    bounds: Bounds = field(default_factory=Bounds)
    throttle: Throttle = field(default_factory=Throttle)


class SparkplugIntake(Protocol):
    """What the host needs of the columniser."""

    def take_in_order(self, writer: Writer, payload: bytes, received: int, done: Done | None, context: str) -> None:
        """Take a payload whose turn it is."""
        ...

    def birth(self, device: int, child: str) -> Birth | None:
        """Return the birth that counts now."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    Attributes:
        confirmed: every value came back within the time.
        sent_at: UTC ns.
        confirmed_at: UTC ns of the message that confirmed the last value, 0 without.
        missing: values that did not come back, by metric name.
        reported: what came back instead, by metric name.
    """

    confirmed: bool
    sent_at: int
    confirmed_at: int = 0
    missing: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reported: Mapping[str, Any] = field(default_factory=dict[str, Any])


class SparkplugHost:
    """Decides when Sparkplug payloads are taken; asks for rebirths; sends commands. Use from one event loop.

    Counters: ``sparkplug.births``, ``.rebirths``, ``.deaths``, ``.deaths_ignored``, ``.gaps``, ``.reordered``,
    ``.behind``, ``.sequence_missing``, ``.birth_sequence_invalid``, ``.rebirth_requests``, ``.sessions_forgotten``,
    ``.commands``, ``.left_without_death``.

    Attributes:
        on_born: called with a session after each NBIRTH.
        units: reads the units that births say, None when nobody wants them.
    """

    def __init__(
        self,
        intake: SparkplugIntake,
        publish: Publish,
        counters: Counters,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        settings: HostSettings | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Compose; ``Columniser.follow_sparkplug`` makes it heard.

        Args:
            intake: takes what is in order.
            publish: sends NCMD and DCMD.
            counters: where to count.
            clock: present time.
            loop: the event loop of all calls.
            settings: bounds and rates.
            chance: returns a number in [0, 1), for jitter.
        """
        given = settings or HostSettings()
        self._intake = intake
        self._publish = publish
        self._counters = counters
        self._clock = clock
        self._loop = loop
        self._rebirths: Rebirths[Key] = Rebirths(given.throttle, chance)
        self.sessions = EdgeSessions(given.bounds, self._ask, self._count, self._drop)
        self._topics: dict[str, tuple[str, str, str] | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._expectations: dict[Key, list[tuple[Expectation, asyncio.Future[int]]]] = {}
        self.on_born: Callable[[EdgeSession], None] | None = None
        self.units: UnitFollower | None = None

    # --- messages --------------------------------------------------------------------------------------------------

    def take(self, writer: Writer, payload: bytes, received: int, done: Done | None, context: str) -> None:
        """Take a payload on ``context`` (its topic) now, later or never; ``done`` is called in any case."""
        try:
            parts = self._topics[context]
        except KeyError:
            if len(self._topics) >= _TOPICS:
                self._topics.clear()
            parts = self._topics[context] = split_topic(context)
        if parts is None:
            self._intake.take_in_order(writer, payload, received, done, context)  # says what is wrong
            return
        kind, edge, child = parts
        session = self.sessions.find((writer.device, edge))
        sequence = birth_sequence = None
        if kind in _DATA:
            known = session is not None and payload.endswith(session.tail)
            sequence = session.expected if known and session is not None else sequence_of(payload)
        else:
            birth_sequence = birth_sequence_of(payload)
            if kind == "NBIRTH":
                sequence = sequence_of(payload)
        arrival = Arrival(kind, edge, child, sequence, birth_sequence, writer, payload, received, done, context)
        self._give(self.sessions.arrive(arrival, self._clock.now_ns()))
        if kind == "NBIRTH":
            self._rebirths.born((writer.device, edge))
            if self.on_born is not None and (session := self.sessions.find((writer.device, edge))) is not None:
                self.on_born(session)
        self._set_timer()

    def _give(self, arrivals: list[Arrival]) -> None:
        for item in arrivals:
            done = item.done
            if self.units is not None and item.kind in _BIRTHS:
                done = self.units.watch(item.writer, item.child, item.payload, done)
            self._intake.take_in_order(item.writer, item.payload, item.received, done, item.topic)
            waiting = self._expectations.get((item.writer.device, item.edge))
            if waiting:
                birth = self._intake.birth(item.writer.device, item.child)
                for expectation, confirmed in waiting:
                    expectation.look(item.kind, item.child, item.payload, birth)
                    if expectation.fulfilled and not confirmed.done():
                        confirmed.set_result(item.received)

    def _drop(self, arrival: Arrival) -> None:
        if arrival.done is not None:
            arrival.done(Receipt(0))

    def order_of(self, device: int, edge: str) -> Order | None:
        """Return the session of an edge node: it knows which payload is the next."""
        return self.sessions.find((device, edge))

    def unknown_alias(self, writer: Writer, edge: str) -> None:
        """Data has an alias that no birth names."""
        session = self.sessions.find((writer.device, edge))
        if session is not None and session.alive:
            self._ask(session, Why.ALIAS)
            self._set_timer()

    def left(self, writer: Writer) -> int:
        """The last connection of a sender has ended without the deaths of its edge nodes; return how many end now.

        The specification forbids it (§6.4.12: an edge node publishes its NDEATH before it disconnects by intent). Its
        points must not stay good for ever all the same.
        """
        now = self._clock.now_ns()
        alive = [one for one in self.sessions if one.key[0] == writer.device and one.alive]
        for session in alive:
            edge = session.key[1]
            group, _, node = edge.partition("/")
            self._count("left_without_death")
            topic = f"spBv1.0/{group}/NDEATH/{node}"
            self.take(writer, death_payload(session.bd_seq, now // MILLISECOND), now, None, topic)
        return len(alive)

    def forget(self, device: int) -> None:
        """Forget the edge nodes of a sender that is no more."""
        for session in [session for session in self.sessions if session.key[0] == device]:
            self._rebirths.forget(session.key)
        self.sessions.forget(device)

    def _count(self, what: str) -> None:
        self._counters.add(f"sparkplug.{what}")

    # --- rebirths --------------------------------------------------------------------------------------------------

    def _ask(self, session: EdgeSession, why: Why) -> None:
        if self._rebirths.ask(session.key, self._clock.now_ns()):
            self._count(f"rebirths_wanted.{why.value}")

    def _set_timer(self) -> None:
        if not self.sessions.next_deadline and not len(self._rebirths):
            return
        now = self._clock.now_ns()
        times = [at for at in (self.sessions.next_deadline, self._rebirths.next_at(now)) if at]
        if not times:
            return
        at = min(times)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        # A little late rather than a little early: then it is due.
        self._timer = self._loop.call_later(max(0, at - now) / SECOND + 0.001, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._clock.now_ns()
        self._give(self.sessions.due(now))
        payload = rebirth_payload(now // MILLISECOND)
        for key in self._rebirths.due(now):
            session = self.sessions.find(key)
            if session is not None and session.phase is not Phase.ELSEWHERE:
                self._count("rebirth_requests")
                self._publish(session.tenant, command_topic(key[1], ""), payload, 0, False)
        self._set_timer()

    def stop(self) -> None:
        """Do nothing more later; take what waits for its order."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._give(self.sessions.due(2**63))

    # --- commands --------------------------------------------------------------------------------------------------

    async def command(
        self, tenant: int, device: int, edge: str, child: str, values: Mapping[str, Any], wait_s: float
    ) -> Outcome:
        """Send an NCMD (``child`` is empty) or DCMD and wait for its effect.

        Args:
            tenant: of the caller.
            device: id of the sender of the edge node.
            edge: ``<group>/<edge node>``.
            child: name of the device below it, or empty.
            values: what to write, by metric name.
            wait_s: seconds to wait for the values to come back.

        Raises:
            Problem: the node or metric is not known, the node is not alive, or a value does not fit.
        """
        key = (device, edge)
        session = self.sessions.find(key)
        if session is None or session.tenant != tenant:
            raise not_found(f"edge node {edge[:200]!r} has not been seen")
        path = f"{edge}/{child}" if child else edge
        if not session.alive or (child and not session.devices.get(path)):
            raise Problem(409, "edge-node-offline", "The edge node or device is offline", path[:200])
        now = self._clock.now_ns()
        rebirth = not child and dict(values) == {REBIRTH: True}
        if rebirth:
            payload = rebirth_payload(now // MILLISECOND)
        else:
            birth = self._intake.birth(device, path)
            if birth is None:
                raise unavailable("the birth is being registered; try again")
            payload = command_payload(values, birth, now // MILLISECOND)
        waiting = self._expectations.setdefault(key, [])
        if len(waiting) >= MAX_COMMANDS:
            raise Problem(429, "too-many-commands", "Too many commands wait for their effect", f"{MAX_COMMANDS} do")
        expectation = Expectation(path, {} if rebirth else dict(values), rebirth)
        confirmed: asyncio.Future[int] = self._loop.create_future()
        waiting.append((expectation, confirmed))
        self._watch(session)
        self._count("commands")
        try:
            self._publish(tenant, command_topic(edge, child), payload, 0, False)
            async with asyncio.timeout(wait_s):
                return Outcome(True, now, await confirmed)
        except TimeoutError:
            return Outcome(False, now, 0, dict(expectation.values), dict(expectation.seen))
        finally:
            waiting.remove((expectation, confirmed))
            if not waiting:
                self._expectations.pop(key, None)
            self._watch(session)

    def _watch(self, session: EdgeSession) -> None:
        session.watched = bool(self._expectations.get(session.key))
        session.settle()


def command_topic(edge: str, child: str) -> str:
    """Return the topic of commands to an edge node, or to a device of it."""
    group, _, node = edge.partition("/")
    return f"spBv1.0/{group}/DCMD/{node}/{child}" if child else f"spBv1.0/{group}/NCMD/{node}"
