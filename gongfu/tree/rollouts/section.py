"""Roll-outs at the node that issues: drafts the orders of the waves together, and issues one after the other.

Every wave is an order like any other, with its own approvals, guard, registers and verdicts; a roll-out only decides
when the next one goes. It looks once a second and keeps nothing that is not stored, so it goes on after a restart.
"""

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.tree.host.section import Command, Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.context import member_of
from gongfu.tree.orders.documents import (
    ApproveRequest,
    DraftRequest,
    OrderRequest,
    OrderView,
    ReasonRequest,
    SelectionDocument,
    selection_of,
)
from gongfu.tree.orders.section import OrdersSection
from gongfu.tree.orders.selection import MAX_TARGETS, absent, resolve
from gongfu.tree.rollouts import records, waves
from gongfu.tree.rollouts.documents import (
    NewRollout,
    RolloutApproval,
    RolloutList,
    RolloutPause,
    RolloutRequest,
    RolloutsRequest,
    RolloutStop,
    RolloutView,
    WaveView,
)
from gongfu.tree.rollouts.records import Person, Stored
from gongfu.tree.rollouts.waves import Act, Counts, Gate, Rollout, State, Wave

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_LIMIT = 50
_MOST_WAVES = 100
_replace = msgspec.structs.replace


class RolloutsSection:
    """Roll-outs of this node."""

    def __init__(self, directory: Directory, orders: OrdersSection, *, look_seconds: float = _LOOK_S) -> None:
        """Issue orders through ``orders``; look at them every ``look_seconds``."""
        self._directory = directory
        self._orders = orders
        self._look_seconds = look_seconds
        self._host: Host | None = None
        self._changing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        # Set while there may be something to look at: a node without roll-outs asks its records nothing.
        self._wake = asyncio.Event()

    # As a section.

    @property
    def topics(self) -> Collection[str]:
        """None: its orders travel as orders."""
        return ()

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Nothing is sent to it."""
        raise Refusal("topic-unknown", topic)

    def restate(self, turn: Turn, peer: str) -> None:
        """Nobody else has to know of it."""

    def link_changed(self, peer: str, up: bool) -> None:
        """Links are of no interest to it."""

    async def start(self, host: Host) -> None:
        """Go on with all that is not settled."""
        self._host = host
        self._wake.set()
        self._looking = asyncio.get_running_loop().create_task(self._look(), name="rollouts")

    async def stop(self) -> None:
        """End."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    @property
    def is_looking(self) -> bool:
        """Whether there may be something that goes on by itself."""
        return self._wake.is_set()

    def commands(self) -> Sequence[Command]:
        """What the API asks for."""
        return (
            Command("rollout-create", NewRollout, self.create),
            Command("rollout-approve", RolloutApproval, self.approve),
            Command("rollout-pause", RolloutPause, self.pause),
            Command("rollout-resume", RolloutRequest, self.resume),
            Command("rollout-stop", RolloutStop, self.end),
            Command("rollout-show", RolloutRequest, self.show),
            Command("rollout-list", RolloutsRequest, self.page),
        )

    # Commands.

    async def create(self, subject: Subject, request: NewRollout) -> RolloutView:
        """Draft the orders of all waves. Nothing is issued before it is resumed."""
        parts = self._waves(request)
        key = uuid.uuid4().hex
        made: list[Wave] = []
        for number, nodes in enumerate(parts, 1):
            draft = DraftRequest(
                id=f"{key}-{number:02}",
                kind=request.kind,
                payload=request.payload,
                selection=SelectionDocument(nodes=list(nodes)),
                deadline=request.deadline,
                priority=request.priority,
                reason=f"{request.reason} ({number}/{len(parts)})".strip(),
            )
            order = await self._orders.draft(subject, draft)
            made.append(Wave(order=order.id, targets=len(nodes)))
        gate = Gate(
            share=request.verified_share,
            within=int(request.within_seconds * SECOND),
            soak=int(request.soak_seconds * SECOND),
        )
        rollout = Rollout(
            waves=tuple(made), gate=gate, on_failure=request.on_failure, state=State.PAUSED, reason="not started"
        )

        def add(turn: Turn) -> Stored:
            stored = Stored(
                id=key,
                number=records.next_number(turn.connection),
                kind=request.kind,
                payload=bytes(request.payload),
                author=Person(subject.user, subject.name, subject.tenant, subject.role.value),
                reason=request.reason,
                created_at=turn.now,
                rollout=rollout,
            )
            records.add(turn.connection, stored)
            turn.audit("rollout.create", f"rollout/{key}", f"{request.kind}, {len(made)} waves", subject=subject)
            return stored

        return await self._view(subject, await self._own_host.turn(add))

    async def approve(self, subject: Subject, request: RolloutApproval) -> RolloutView:
        """Approve the orders of all waves as they were seen."""
        stored = await self._stored(request.id)
        orders = await self._orders_of(subject, stored)
        if _digest(orders) != request.digest:
            raise Problem(409, "text-has-changed", "The text is not the one that was seen", request.id)
        for order in orders:
            if order.state == "drafted":
                await self._orders.approve(subject, ApproveRequest(order.id, order.digest))
        return await self._view(subject, stored)

    async def pause(self, subject: Subject, request: RolloutPause) -> RolloutView:
        """Issue no further wave until it is resumed."""
        return await self._change(
            subject, request.id, "pause", lambda present: waves.pause(present, request.reason or f"by {subject.name}")
        )

    async def resume(self, subject: Subject, request: RolloutRequest) -> RolloutView:
        """Start, or go on."""
        return await self._change(subject, request.id, "resume", waves.resume)

    async def end(self, subject: Subject, request: RolloutStop) -> RolloutView:
        """End it, by default with all waves revoked."""
        why = request.reason or f"by {subject.name}"
        return await self._change(
            subject, request.id, "stop", lambda present: waves.stop(present, why, take_back=request.take_back)
        )

    async def show(self, subject: Subject, request: RolloutRequest) -> RolloutView:
        """Return a roll-out."""
        return await self._view(subject, await self._stored(request.id))

    async def page(self, subject: Subject, request: RolloutsRequest) -> RolloutList:
        """Return a page of roll-outs."""
        limit = min(max(request.limit, 1), _LIMIT)
        found = await self._own_host.read(lambda connection: records.page(connection, request.before, limit + 1))
        items = [await self._view(subject, stored) for stored in found[:limit]]
        return RolloutList(items, found[limit - 1].number if len(found) > limit else None)

    def _waves(self, request: NewRollout) -> Sequence[Sequence[str]]:
        """Return the targets by wave: those of a list in its order, others by id, which is as good as by lot.

        Raises:
            Problem: 400.
        """
        directory = self._directory
        members = [member_of(directory.chain.membership), *map(member_of, directory.descendants())]
        selection = selection_of(request.selection)
        if missing := absent(selection, members):
            raise invalid(f"not below this node: {', '.join(missing[:10])}")
        targets = sorted(member.node for member in resolve(selection, members))
        if request.selection.nodes is not None:
            targets = list(dict.fromkeys(request.selection.nodes))
        if not targets:
            raise invalid("no node is meant")
        parts = waves.split(targets, request.canaries, request.shares)
        if len(parts) > _MOST_WAVES or max(map(len, parts)) > MAX_TARGETS:
            raise invalid(f"at most {_MOST_WAVES} waves of at most {MAX_TARGETS} targets: give other shares")
        return parts

    async def _change(
        self, subject: Subject, key: str, verb: str, work: Callable[[Rollout], Rollout | None]
    ) -> RolloutView:
        async with self._changing:
            stored = await self._stored(key)
            changed = work(stored.rollout)
            if changed is None:
                raise conflict(f"the roll-out is {stored.rollout.state}")
            # The first wave goes with the answer.
            changed = waves.advance(changed, {}, self._own_host.now())
            stored = await self._act(await self._save(stored, changed, verb, subject))
        return await self._view(subject, stored)

    # By itself.

    async def _look(self) -> None:
        while True:
            await self._wake.wait()
            # Before reading: what is committed after that sets it again.
            self._wake.clear()
            keys: list[str] | None = None
            with self._tried_again("roll-outs"):
                keys = [one.id for one in await self._own_host.read(records.unsettled) if _may_go_on(one.rollout)]
            if keys is None or keys:
                self._wake.set()
            for key in keys or ():
                with self._tried_again(f"roll-out {key}"):
                    async with self._changing:
                        await self._advance(key)
            await asyncio.sleep(self._look_seconds)

    @contextmanager
    def _tried_again(self, what: str) -> Iterator[None]:
        """One failure, such as records that are away, must not end the looking for good."""
        try:
            yield
        except Problem as problem:
            log.info("%s: %s", what, problem)
        except Exception:
            log.exception("%s could not be looked at; it is tried again", what)

    async def _advance(self, key: str) -> None:
        stored = await self._stored(key)
        rollout, counts = stored.rollout, dict[str, Counts]()
        index = waves.current(rollout)
        if index >= 0 and rollout.waves[index].issued_at:
            order = await self._order(stored.author.subject(), rollout.waves[index].order)
            counts[order.id] = _counts(order)
        changed = waves.advance(rollout, counts, self._own_host.now())
        if changed != rollout:
            verb = "advance" if changed.state is rollout.state else str(changed.state)
            stored = await self._save(stored, changed, verb)
        await self._act(stored)

    async def _act(self, stored: Stored) -> Stored:
        """Do what is pending. What was done and not noted before a crash is done again, which changes nothing."""
        subject = stored.author.subject()
        for act, order in waves.pending(stored.rollout):
            try:
                if act is Act.ISSUE:
                    await self._orders.issue(subject, OrderRequest(order))
                else:
                    await self._take_back(subject, order, act, stored.rollout.reason)
            except Problem as problem:
                if problem.status >= 500:
                    raise
                if act is Act.ISSUE:
                    why = f"{problem.code}: {problem.detail}"
                    stored = await self._save(stored, waves.refused(stored.rollout, why), "refused")
                    break
                log.warning("order %s of roll-out %s is left as it is: %s", order, stored.id, problem)
            changed = waves.done(stored.rollout, act, order, self._own_host.now())
            stored = await self._save(stored, changed, str(act))
        settled = stored.rollout.state not in waves.OPEN and not waves.pending(stored.rollout)
        if settled != stored.settled:
            stored = await self._save(_replace(stored, settled=settled), stored.rollout, "settle")
        return stored

    async def _take_back(self, subject: Subject, order: str, act: Act, why: str) -> None:
        state = (await self._order(subject, order)).state
        if state in ("issued", "closed"):
            # Also where it was not known to have gone out: the roll-out had wanted it, and is over.
            await self._orders.revoke(subject, ReasonRequest(order, why))
        elif state != "discarded":
            await self._orders.discard(subject, ReasonRequest(order, why))

    # Records.

    @property
    def _own_host(self) -> Host:
        if self._host is None:
            raise RuntimeError("not started")
        return self._host

    async def _stored(self, key: str) -> Stored:
        found = await self._own_host.read(lambda connection: records.by_id(connection, key))
        if found is None:
            raise not_found(f"roll-out {key[:64]}")
        return found

    async def _save(self, stored: Stored, rollout: Rollout, verb: str, subject: Subject | None = None) -> Stored:
        changed = _replace(stored, rollout=rollout)

        def save(turn: Turn) -> None:
            records.save(turn.connection, changed)
            if verb != "settle":
                detail = f"{rollout.state} {rollout.reason}".strip()[:1000].replace("\0", "")
                turn.audit(f"rollout.{verb}", f"rollout/{stored.id}", detail, subject=subject)
            turn.then(lambda: self._own_host.nudge("rollouts", f"rollout/{stored.id}"))

        await self._own_host.turn(save)
        self._wake.set()
        return changed

    # Views.

    async def _order(self, subject: Subject, key: str) -> OrderView:
        return await self._orders.show(subject, OrderRequest(key))

    async def _orders_of(self, subject: Subject, stored: Stored) -> list[OrderView]:
        return [await self._order(subject, wave.order) for wave in stored.rollout.waves]

    async def _view(self, subject: Subject, stored: Stored) -> RolloutView:
        rollout, orders = stored.rollout, await self._orders_of(subject, stored)
        common = set.intersection(*({one.person for one in order.approvals} for order in orders))
        return RolloutView(
            id=stored.id,
            kind=stored.kind,
            payload=msgspec.Raw(stored.payload),
            state=rollout.state,
            reason=stored.reason,
            why=rollout.reason,
            author=stored.author.name,
            created_at=format_rfc3339(stored.created_at),
            targets=sum(wave.targets for wave in rollout.waves),
            verified_share=rollout.gate.share,
            within_seconds=rollout.gate.within / SECOND,
            soak_seconds=rollout.gate.soak / SECOND,
            on_failure=rollout.on_failure,
            approvals=sorted(common),
            approvals_needed=orders[0].approvals_needed,
            digest=_digest(orders),
            waves=[_wave_view(wave, order) for wave, order in zip(rollout.waves, orders, strict=True)],
        )


def _may_go_on(rollout: Rollout) -> bool:
    """Return whether something may happen to a roll-out without a person: not to one that was never started."""
    return rollout.state is not State.PAUSED or waves.current(rollout) >= 0


def _counts(order: OrderView) -> Counts:
    final = sum(count for state, count in order.totals.items() if Shown(state) in TERMINAL)
    return Counts(order.totals.get(Shown.VERIFIED, 0), order.targets - final)


def _digest(orders: Sequence[OrderView]) -> str:
    return hashlib.sha256("".join(order.digest for order in orders).encode()).hexdigest()


def _wave_view(wave: Wave, order: OrderView) -> WaveView:
    state = "passed" if wave.passed_at else "issued" if wave.issued_at else "waiting"
    if order.revoked:
        state = "revoked"
    elif order.state == "discarded":
        state = "discarded"
    return WaveView(
        order=wave.order,
        targets=wave.targets,
        state=state,
        issued_at=format_rfc3339(wave.issued_at) if wave.issued_at else None,
        passed_at=format_rfc3339(wave.passed_at) if wave.passed_at else None,
        totals=order.totals,
    )
