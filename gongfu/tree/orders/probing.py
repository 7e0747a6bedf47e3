"""Looks at effects when their time has come, and writes the verdicts."""

import asyncio
from collections.abc import Sequence

import msgspec

from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Turn
from gongfu.tree.orders import order_records, target_records
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.context import Alarm, Context, log
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.order_records import OrderRow
from gongfu.tree.orders.plugins import Probe, ProbeCall, Seen
from gongfu.tree.orders.register_book import RegisterBook
from gongfu.tree.orders.target_records import registers_of
from gongfu.tree.orders.types import Reason
from gongfu.tree.orders.verification import Sight, Watch, given_up, seen

_AT_ONCE = 200
_AGAIN = 1_000_000_000


class Look(msgspec.Struct, frozen=True):
    """A look that is due: the watch, and what the probe is asked; None for both when there is nobody to ask."""

    watch: Watch
    probe: str
    call: ProbeCall


class Probing:
    """The watches of this node. A look is in memory only: what a crash loses is looked at again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.alarm = Alarm(context, self._rung)
        self._book: RegisterBook | None = None
        self._looking: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(context.limits.calls)

    def attach(self, book: RegisterBook) -> None:
        """Note where verdicts are written."""
        self._book = book

    async def start(self) -> None:
        """Go on with what is stored."""
        self.alarm.set(await self._context.host.read(lambda connection: target_records.next_look(connection, -1)))

    async def stop(self) -> None:
        """End all looks."""
        self.alarm.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _rung(self) -> None:
        task = asyncio.get_running_loop().create_task(self._look_around())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_around(self) -> None:
        """Look at all that is due, then wait for what is due next."""
        host, looks = self._context.host, list[Look]()
        again: int | None = None
        try:
            looks, following = await host.turn(self._due)
            self.alarm.set(following)
            self._looking.update((look.watch.order, look.watch.target) for look in looks)
            if looks:
                results = await asyncio.gather(*(self._look(look) for look in looks))
                await host.turn(lambda turn: self._conclude(turn, looks, results))
                again = host.now()
        except Problem as problem:
            log.warning("probes wait: %s", problem)
            again = host.now() + _AGAIN
        except Exception:
            log.exception("a look was not concluded; it is repeated")
            again = host.now() + _AGAIN
        finally:
            self._looking.difference_update((look.watch.order, look.watch.target) for look in looks)
        self.alarm.set(again)

    def _due(self, turn: Turn) -> tuple[list[Look], int | None]:
        connection, looks = turn.connection, list[Look]()
        watches = [
            watch
            for watch in target_records.due_watches(connection, turn.now, _AT_ONCE)
            if (watch.order, watch.target) not in self._looking
        ]
        orders = order_records.by_ids(connection, {watch.order for watch in watches})
        following: int | None = None
        for watch in watches:
            order = orders.get(watch.order)
            document = self._context.document(order)
            kind = None if document is None else self._context.kinds.get(document.kind)
            if order is None or document is None:
                target_records.forget_watches(connection, [(watch.order, watch.target)])
                continue
            if kind is None or kind.probe is None:
                self._give_up(turn, order, watch)
                # There may be more of them than are taken at once.
                following = turn.now
                continue
            row = target_records.load(connection, order.key, [watch.target]).get(watch.target)
            execution = None if row is None else registers_of(row.registers).execution
            claimed_at = 0
            if execution is not None and execution.claim == watch.claim:
                # From the parent's time into that of this machine, which is what a probe can compare.
                claimed_at = max(0, execution.at - (turn.now - turn.wall))
            call = ProbeCall(
                order=watch.order,
                target=watch.target,
                kind=document.kind,
                payload=document.payload,
                expected=watch.expected,
                claimed_at=claimed_at,
            )
            looks.append(Look(watch, kind.probe.name, call))
        return looks, target_records.next_look(connection, turn.now) if following is None else following

    def _give_up(self, turn: Turn, order: OrderRow, watch: Watch) -> None:
        """Conclude a watch whose kind was withdrawn meanwhile: its order ends visibly."""
        evidence = f"kind {order.kind} is not known here any more"
        looked = given_up(watch, Reason.KIND_UNKNOWN, evidence, self._context.node, turn.now)
        target_records.keep_watches(turn.connection, [looked.watch])
        if looked.verdict is None or self._book is None:
            return
        said = Audit(order.id, looked.verdict.finding, turn.now, Reason.KIND_UNKNOWN, "", f"{watch.target}: {evidence}")
        self._context.note(turn, said)
        self._book.merge(turn, order, {watch.target: Registers(verdict=looked.verdict)})

    async def _look(self, look: Look) -> Seen:
        probe: Probe | None = self._context.probes.get(look.probe)
        if probe is None:
            return Seen(Sight.UNKNOWN, f"there is no probe {look.probe} here")
        async with self._room:
            try:
                return await asyncio.wait_for(probe.look(look.call), self._context.limits.probe_seconds)
            except TimeoutError:
                return Seen(Sight.UNKNOWN, "the probe did not answer in time")
            except Exception as error:
                log.warning("probe %s: %s", look.probe, error)
                return Seen(Sight.UNKNOWN, f"{type(error).__name__}: {error}")

    def _conclude(self, turn: Turn, looks: Sequence[Look], results: Sequence[Seen]) -> None:
        connection, context = turn.connection, self._context
        orders = order_records.by_ids(connection, {look.watch.order for look in looks})
        verdicts: dict[str, dict[str, Registers]] = {}
        kept: list[Watch] = []
        events: list[Audit] = []
        for look, result in zip(looks, results, strict=True):
            order, target = look.watch.order, look.watch.target
            watch = target_records.watches(connection, order, [target]).get(target)
            kind: OrderKind | None = context.kinds.get(look.call.kind)
            if watch is None or kind is None or order not in orders:
                continue
            looked = seen(watch, look.watch.claim, result.sight, result.evidence, kind, context.node, turn.now)
            if looked.refused is None:
                kept.append(looked.watch)
            if looked.verdict is not None:
                verdicts.setdefault(order, {})[target] = Registers(verdict=looked.verdict)
                finding, reason = looked.verdict.finding, looked.verdict.reason
                events.append(Audit(order, finding, turn.now, reason, "", f"{target}: {looked.verdict.evidence}"))
        target_records.keep_watches(connection, kept)
        context.note(turn, *events)
        if self._book is not None:
            for order, found in verdicts.items():
                self._book.merge(turn, orders[order], found)
