"""What the writer does: turns of sections, deliveries of neighbours, new epochs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.tree.host import link_records
from gongfu.tree.host.batch import Batch, SqlTurn
from gongfu.tree.host.outage import is_outage
from gongfu.tree.host.section import Refusal, Section, Turn
from gongfu.tree.host.writer import Job
from gongfu.tree.link.effects import Deliver, NewEpoch
from gongfu.tree.link.position import Position

# A message that fails is tried so often before it is refused; the sender's time-out doubles between.
_ATTEMPTS = 4
# Audit entries of refused messages, of one neighbour and minute; the rest is counted only.
_AUDITED = 60
_MINUTE = 60_000_000_000

logger = logging.getLogger(__name__)


class TurnJob(Job):
    """A turn of a section."""

    def __init__(self, work: Callable[[Turn], Any], future: "asyncio.Future[Any] | None", counters: Counters) -> None:
        """Make a job; without a future nobody waits for it, and it survives an outage of the records."""
        self.lasting = future is None
        self._work = work
        self._future = future
        self._counters = counters

    def run(self, batch: Batch) -> None:
        """Run the turn."""
        turn = batch.turn()
        try:
            with batch.savepoint():
                result = self._work(turn)
        except Exception as error:
            if is_outage(error):
                raise
            batch.after.append(partial(self.failed, error))
            return
        batch.accept(turn)
        if self._future is not None:
            batch.after.append(partial(self._done, result))

    def _done(self, result: Any) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(result)

    def failed(self, error: Exception) -> None:
        """The turn was rolled back."""
        if self._future is None:
            self._counters.add("tree_turns_failed")
            logger.error("a turn of the tree failed", exc_info=error)
        elif not self._future.done():
            self._future.set_exception(error)


class Takers:
    """Who takes messages, and what is remembered of those that were not taken."""

    def __init__(self, sections: Sequence[Section], counters: Counters) -> None:
        self.sections = sections
        self.counters = counters
        self._by_topic: dict[str, Section] = {}
        for section in sections:
            for topic in section.topics:
                if topic in self._by_topic:
                    raise ValueError(f"two sections take the topic {topic}")
                self._by_topic[topic] = section
        self._decode = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
        # By peer: position of the message that failed last, and how often.
        self._failures: dict[str, tuple[int, int, int]] = {}
        # By peer: minute, audit entries in it.
        self._audited: dict[str, tuple[int, int]] = {}

    def take(self, turn: Turn, peer: str, message: bytes) -> None:
        """Give a message to its section.

        Raises:
            Refusal: it is not taken.
        """
        try:
            topic, body = self._decode(message)
        except (ValueError, RecursionError):
            raise Refusal("message-malformed") from None
        section = self._by_topic.get(topic)
        if section is None:
            raise Refusal("topic-unknown", topic[:60])
        section.received(turn, peer, topic, body)

    def topic(self, message: bytes) -> str:
        """Return a message's topic if there is such; for counters and the audit."""
        try:
            topic, _ = self._decode(message)
        except (ValueError, RecursionError):
            return "unknown"
        return topic if topic in self._by_topic else "unknown"

    def refused(self, turn: Turn, peer: str, message: bytes, refusal: Refusal) -> None:
        """Count and audit a message that was not taken."""
        topic = self.topic(message)
        turn.then(partial(self.counters.add, f"tree_refused.{topic}.{refusal.reason}"))
        minute, entries = self._audited.get(peer, (0, 0))
        if minute != turn.wall // _MINUTE:
            minute, entries = turn.wall // _MINUTE, 0
        self._audited[peer] = (minute, entries + 1)
        if entries < _AUDITED:
            turn.audit("message.refuse", f"node/{peer}", f"{topic}: {refusal}")
        elif entries == _AUDITED:
            turn.audit("message.refuse", f"node/{peer}", "more in this minute; see the counters")

    def failed(self, peer: str, epoch: int, number: int) -> bool:
        """Note that a message failed; returns whether it may be tried again."""
        before = self._failures.get(peer)
        times = before[2] + 1 if before is not None and before[:2] == (epoch, number) else 1
        self._failures[peer] = (epoch, number, times)
        return times < _ATTEMPTS

    def restate(self, turn: SqlTurn, batch: Batch, peer: str) -> None:
        """Let all sections say what a neighbour must know; one that fails does not stop the others."""
        for section in self.sections:
            part = turn.part()
            try:
                with batch.savepoint():
                    section.restate(part, peer)
            except Exception as error:
                if is_outage(error):
                    raise
                logger.exception("%s could not restate for %s", type(section).__name__, peer)
                turn.then(partial(self.counters.add, "tree_restatements_failed"))
                turn.audit("link.restate", f"node/{peer}", f"failed: {type(section).__name__}, {type(error).__name__}")
            else:
                turn.accept(part)


class _Again(Exception):
    """A message failed and is tried again later."""


class Delivery(Job):
    """Messages of a neighbour, and the position after them."""

    def __init__(
        self,
        takers: Takers,
        peer: str,
        deliver: Deliver,
        committed: Callable[[Position], None],
        rolled_back: Callable[[], None],
    ) -> None:
        self._takers = takers
        self._peer = peer
        self._deliver = deliver
        self._committed = committed
        self._rolled_back = rolled_back

    def run(self, batch: Batch) -> None:
        """Take the messages, if they are the next ones."""
        link, position = batch.links.get(self._peer), self._deliver.position
        start = -1 if link is None or link.retired else self._taken(link.received)
        if start < 0:
            # What is behind messages that failed, as a rule.
            batch.after.append(self._rolled_back)
            return
        turn = batch.turn(self._peer)
        try:
            with batch.savepoint():
                for body in self._deliver.bodies[start:]:
                    self._takers.take(turn, self._peer, body)
        except Exception as error:
            if is_outage(error):
                raise
            turn = batch.turn(self._peer)
            try:
                with batch.savepoint():
                    self._take_singly(batch, turn, start)
            except _Again:
                batch.after.append(self._rolled_back)
                return
        # First the acknowledgement: a message may end the link.
        batch.after.append(partial(self._committed, position))
        batch.accept(turn)
        if start < len(self._deliver.bodies):
            batch.received(batch.links[self._peer], position)

    def _taken(self, received: Position) -> int:
        """Return how many of the messages are taken already, -1 if they do not follow on what is.

        Some are when a commit was done though the records said that it failed (their connection broke).
        """
        if self._deliver.position.epoch == received.epoch:
            return min(received.number + 1 - self._deliver.first, len(self._deliver.bodies))
        return 0 if self._deliver.position.epoch > received.epoch and self._deliver.first == 1 else -1

    def _take_singly(self, batch: Batch, turn: SqlTurn, start: int) -> None:
        """Take each message in a savepoint of its own, so that what is wrong with one does not touch the others."""
        takers, peer = self._takers, self._peer
        for number, body in enumerate(self._deliver.bodies[start:], self._deliver.first + start):
            part = turn.part()
            try:
                with batch.savepoint():
                    takers.take(part, peer, body)
            except Refusal as refusal:
                takers.refused(turn, peer, body, refusal)
            except Exception as error:
                if is_outage(error):
                    raise
                logger.exception("message %d of %s (%s) failed", number, peer, takers.topic(body))
                if takers.failed(peer, self._deliver.position.epoch, number):
                    raise _Again from None
                takers.refused(turn, peer, body, Refusal("internal", type(error).__name__))
            else:
                turn.accept(part)

    def failed(self, error: Exception) -> None:
        """The transaction was rolled back."""
        del error
        self._rolled_back()


class Renewal(Job):
    """A new epoch of the outbox for a neighbour: everything that it must know, then what was still there."""

    lasting = True

    def __init__(
        self,
        takers: Takers,
        peer: str,
        effect: NewEpoch,
        acknowledged: Position,
        renewed: Callable[[int], None],
        failed: Callable[[], None],
    ) -> None:
        """Make a job; ``acknowledged`` is what the neighbour had before, and is not said again."""
        self._takers = takers
        self._peer = peer
        self._effect = effect
        self._acknowledged = acknowledged
        self._renewed = renewed
        self._failed = failed

    def run(self, batch: Batch) -> None:
        """Number the outbox anew."""
        link, effect = batch.links.get(self._peer), self._effect
        if link is None or link.retired or effect.epoch < link.epoch:
            return
        if effect.epoch == link.epoch:
            # Committed before, though the records said that it failed.
            batch.after.append(partial(self._renewed, link.last))
            return
        batch.forget(link, self._acknowledged)
        turn = batch.turn()
        self._takers.restate(turn, batch, self._peer)
        claim = effect.acknowledged
        detail = f"{effect.reason}: epoch {effect.epoch}; it has {claim.number} of epoch {claim.epoch}"
        turn.audit("link.renew", f"node/{self._peer}", detail)
        batch.renew(link, effect.epoch, effect.acknowledged, turn)
        batch.accept(turn)
        batch.after.append(partial(self._renewed, link.last))

    def failed(self, error: Exception) -> None:
        """The transaction was rolled back."""
        del error
        self._failed()


class Statement(Job):
    """Everything that a neighbour must know, at the beginning of its link."""

    lasting = True

    def __init__(self, takers: Takers, peer: str) -> None:
        self._takers = takers
        self._peer = peer

    def run(self, batch: Batch) -> None:
        """Say it, unless that was done."""
        link = batch.links.get(self._peer)
        if link is None or link.retired or link.stated:
            return
        turn = batch.turn()
        self._takers.restate(turn, batch, self._peer)
        link_records.set_stated(batch.connection, link)
        link.stated = True
        batch.accept(turn)

    def failed(self, error: Exception) -> None:
        """The transaction was rolled back; the next start says it."""
        self._takers.counters.add("tree_restatements_failed")
        logger.error("the statement for %s failed", self._peer, exc_info=error)
