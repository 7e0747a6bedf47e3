"""A logical node: its disk, its sessions, its clock. A crash leaves the disk only."""

from collections.abc import Callable
from typing import Protocol

from gongfu.kernel.counters import Counters
from gongfu.tree.link.effects import Deliver, Effect, Forget, Load, NewEpoch, Send
from gongfu.tree.link.frames import FrameError, decode, encode
from gongfu.tree.link.limits import DEFAULT_LIMITS, FOREVER, Limits
from gongfu.tree.link.session import Session
from simulator.network import Network
from simulator.simulation import MILLISECOND, Simulation
from simulator.store import LinkStore, Store, Transaction


class Application(Protocol):
    """What a node does with messages. It keeps nothing but in the transaction."""

    def received(self, transaction: Transaction, node: str, peer: str, body: bytes) -> None:
        """Take a message of a neighbour."""
        ...

    def resend(self, transaction: Transaction, node: str, peer: str) -> list[bytes]:
        """Return everything that a neighbour must know, oldest first."""
        ...


class Rollback(Exception):
    """Raised by an application: the transaction fails, its messages come again."""


class Clock:
    """A node's own clock.

    Attributes:
        offset: of the time of day, nanoseconds; may be changed with ``Node.set_clock``.
        drift: share by which it runs fast.
    """

    __slots__ = ("drift", "offset")

    def __init__(self, offset: int = 0, drift: float = 0.0) -> None:
        self.offset = offset
        self.drift = drift


_Job = Callable[[Transaction], None]


class Node:
    """One node of the tree.

    Attributes:
        name: id.
        store: its disk.
        sessions: by the other end's name; empty while it is down.
        up: it runs.
        hazard: asked at every commit point (``before-commit``, ``after-commit``, ``before-forget``, ``after-forget``);
            true crashes the node there. It is asked on for restarts by ``on_crash``.
        on_crash: called after a crash that ``hazard`` caused.
        effects: every effect but Send, Load, Deliver and Forget, with time and neighbour, if ``watch`` is set.
    """

    # Test variants of the session are put here.
    session_type: type[Session] = Session

    def __init__(
        self,
        simulation: Simulation,
        network: Network,
        name: str,
        application: Application,
        *,
        clock: Clock | None = None,
        commit_time: int = MILLISECOND,
        limits: Limits = DEFAULT_LIMITS,
        counters: Counters | None = None,
    ) -> None:
        """Make a node that is down; see ``add_link`` and ``start``.

        Args:
            simulation: where it lives.
            network: that carries its frames.
            name: id.
            application: what it does with messages.
            clock: its own; exact by default.
            commit_time: of one transaction, nanoseconds; what comes meanwhile shares the next one.
            limits: of its links.
            counters: shared by many nodes, usually.
        """
        self.simulation = simulation
        self.name = name
        self.application = application
        self.store = Store()
        self.sessions: dict[str, Session] = {}
        self.up = False
        self.hazard: Callable[[str], bool] | None = None
        self.on_crash: Callable[[Node], None] | None = None
        self.watch = False
        self.effects: list[tuple[int, str, Effect]] = []
        self.counters = Counters() if counters is None else counters
        self._network = network
        self._clock = Clock() if clock is None else clock
        self._commit_time = commit_time
        self._limits = limits
        self._active: dict[str, bool] = {}
        self._life = 0
        self._jobs: list[tuple[str, Deliver | NewEpoch | None, _Job | None]] = []
        self._committing = False
        self._ticks: dict[str, int] = {}
        network.attach(name, self._arrived)

    # Life.

    def add_link(self, peer: str, *, active: bool = True) -> None:
        """Add a link to a neighbour, before ``start``."""
        self.store.links[peer] = LinkStore()
        self._active[peer] = active

    def start(self) -> None:
        """Start, or start again after a crash: new sessions from the disk."""
        if self.up:
            return
        self.up = True
        self._life += 1
        rng = self.simulation.rng
        for peer, link in self.store.links.items():
            self.sessions[peer] = self.session_type(
                self.name,
                peer,
                link.durable(),
                lambda: rng.getrandbits(61) + 1,
                wall=self._clock.offset,
                limits=self._limits,
                counters=self.counters,
            )
        for peer, session in self.sessions.items():
            self._perform(peer, session.connected(self.monotonic, active=self._active[peer]))

    def crash(self) -> None:
        """Lose everything that is not on the disk."""
        self.up = False
        self._life += 1
        self.sessions = {}
        self._jobs = []
        self._ticks = {}
        self._committing = False

    def restore(self, backup: Store) -> None:
        """Put an earlier copy of the disk in place; the node must be down."""
        if self.up:
            raise ValueError("a node is restored while it is down")
        self.store = backup.copy()

    @property
    def monotonic(self) -> int:
        """The node's monotonic time, nanoseconds."""
        return self.simulation.now + int(self.simulation.now * self._clock.drift)

    @property
    def wall(self) -> int:
        """The node's time of day, nanoseconds."""
        return self.monotonic + self._clock.offset

    def set_clock(self, offset: int) -> None:
        """Set the time of day."""
        self._clock.offset = offset
        for session in self.sessions.values():
            session.wall_changed(offset)

    @property
    def idle(self) -> bool:
        """Whether it runs, knows its neighbours, and they have everything."""
        return self.up and not self._jobs and all(s.up and s.idle for s in self.sessions.values())

    # Work.

    def submit(self, job: _Job) -> None:
        """Do something in a transaction; it is lost if the node is down or crashes before."""
        if self.up:
            self._jobs.append(("", None, job))
            self._work()

    def _work(self) -> None:
        if self._jobs and not self._committing:
            self._committing = True
            self.simulation.after(self._commit_time, self._commit, self._life)

    def _commit(self, life: int) -> None:
        if life != self._life:
            return
        jobs, self._jobs = self._jobs, []
        self._committing = False
        transaction = Transaction(self.store, self.wall)
        renewals: list[tuple[str, NewEpoch, list[bytes]]] = []
        try:
            for peer, effect, job in jobs:
                if job is not None:
                    job(transaction)
                elif isinstance(effect, Deliver):
                    for body in effect.bodies:
                        self.application.received(transaction, self.name, peer, body)
                elif isinstance(effect, NewEpoch):
                    renewals.append((peer, effect, self.application.resend(transaction, self.name, peer)))
        except Rollback:
            self._roll_back(jobs)
            return
        if self._crashed("before-commit"):
            return
        positions = {peer: effect.position for peer, effect, _ in jobs if isinstance(effect, Deliver)}
        for peer, position in positions.items():
            self.store.links[peer].received = position
        for peer, effect, said_again in renewals:
            self.store.links[peer].renumber(effect.epoch, effect.acknowledged, said_again)
        numbered = transaction.apply()
        if self._crashed("after-commit"):
            return
        for peer, position in positions.items():
            if self.up:
                self._perform(peer, self.sessions[peer].committed(position))
        for peer, _, _ in renewals:
            if self.up:
                self._perform(peer, self.sessions[peer].renewed(self.monotonic, self.store.links[peer].last))
        for peer, (first, bodies) in numbered.items():
            if self.up:
                epoch = self.store.links[peer].epoch
                self._perform(peer, self.sessions[peer].queued(self.monotonic, epoch, first, bodies))
        self._work()

    def _roll_back(self, jobs: list[tuple[str, Deliver | NewEpoch | None, _Job | None]]) -> None:
        failed = {peer for peer, effect, _ in jobs if isinstance(effect, Deliver)}
        for peer in failed:
            self.sessions[peer].failed()
        # New epochs are tried again; what was to be delivered behind is left out.
        again = [j for j in jobs if isinstance(j[1], NewEpoch)]
        self._jobs = again + [j for j in self._jobs if not (isinstance(j[1], Deliver) and j[0] in failed)]
        self._work()

    def _crashed(self, point: str) -> bool:
        if self.hazard is None or not self.hazard(point):
            return False
        self.crash()
        if self.on_crash is not None:
            self.on_crash(self)
        return True

    # Sessions.

    def _arrived(self, peer: str, data: bytes) -> None:
        session = self.sessions.get(peer)
        if session is None:
            return
        try:
            frame = decode(data)
        except FrameError as error:
            self.counters.add(f"link_frames_dropped.{error.reason}")
            return
        self._perform(peer, session.received(self.monotonic, frame))

    def _perform(self, peer: str, effects: list[Effect]) -> None:
        session = self.sessions[peer]
        waiting = effects
        while waiting:
            effects, waiting = waiting, []
            for effect in effects:
                if isinstance(effect, Send):
                    self._network.send(self.name, peer, encode(effect.frame))
                elif isinstance(effect, Deliver):
                    self._jobs.append((peer, effect, None))
                elif isinstance(effect, Load):
                    bodies = self._read(peer, effect)
                    waiting += session.loaded(self.monotonic, effect.epoch, effect.first, bodies)
                elif isinstance(effect, Forget):
                    if self._crashed("before-forget"):
                        return
                    self.store.links[peer].forget(effect.acknowledged)
                    if self._crashed("after-forget"):
                        return
                else:
                    if isinstance(effect, NewEpoch):
                        self._jobs.append((peer, effect, None))
                    if self.watch:
                        self.effects.append((self.simulation.now, peer, effect))
        self._work()
        self._plan_tick(peer, session)

    def _read(self, peer: str, load: Load) -> list[bytes]:
        link = self.store.links[peer]
        bodies: list[bytes] = []
        if link.epoch != load.epoch:
            return bodies
        number, size = load.first, 0
        while len(bodies) < load.messages and (body := link.outbox.get(number)) is not None:
            size += len(body)
            if size > load.size and bodies:
                break
            bodies.append(body)
            number += 1
        return bodies

    def _plan_tick(self, peer: str, session: Session) -> None:
        due = session.due
        if due >= self._ticks.get(peer, FOREVER):
            return
        self._ticks[peer] = due
        time = int(due / (1 + self._clock.drift)) + 1 if self._clock.drift else due
        self.simulation.at(time, self._tick, self._life, peer, due)

    def _tick(self, life: int, peer: str, planned: int) -> None:
        if life != self._life or self._ticks.get(peer) != planned:
            return
        del self._ticks[peer]
        session = self.sessions[peer]
        now = self.monotonic
        if now >= session.due:
            self._perform(peer, session.tick(now))
        else:
            self._plan_tick(peer, session)
