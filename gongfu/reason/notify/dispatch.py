"""Sends what is due, and notes what became of it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND, Clock
from gongfu.reason.alarms import records as alarm_records
from gongfu.reason.alarms.states import ANNUNCIATED, UNACKNOWLEDGED, State
from gongfu.reason.notify import definitions, outbox
from gongfu.reason.notify.channels.sending import Message, MissedError, Receipt, RefusedError
from gongfu.reason.notify.feed import JournalFeed
from gongfu.reason.notify.links import token
from gongfu.reason.notify.states import Delivery, Step, next_delivery, wait_ns
from gongfu.reason.notify.texts import alarm_message, digest_message, test_message
from gongfu.reason.notify.types import ChannelBody, Settings
from gongfu.store.records.engine import reading, writing

logger = logging.getLogger(__name__)

AT_ONCE = 8
BATCH = 64
# Parts of the journal that are read before what is due is sent.
_READS = 20
_CLOCKS_DIFFER = 5 * SECOND
# Receipts are kept this long.
KEPT = 90 * 86_400 * SECOND
_FORGET_EVERY = 3600 * SECOND

# Sends by a channel's settings and secret; blocks.
Send = Callable[[Settings, str, Message, int], Receipt]


class Dispatcher:
    """Feeds and empties the outbox. Counters: ``notifications_sent``, ``notifications_missed``,
    ``notifications_failed``, ``notifications_cancelled``."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        counters: Counters,
        send: Send,
        secret_of: Callable[[int], str],
        link_key: bytes,
        luck: Callable[[], float],
        feed: JournalFeed | None = None,
    ) -> None:
        """Set up.

        Args:
            engine: the records.
            clock: the time.
            counters: of the process.
            send: sends a message.
            secret_of: the secret of a channel by its number.
            link_key: signs the links.
            luck: random numbers in [0, 1).
            feed: reads the journal.
        """
        self._engine = engine
        self._clock = clock
        self._counters = counters
        self._send = send
        self._secret_of = secret_of
        self._link_key = link_key
        self._luck = luck
        self._feed = feed or JournalFeed(engine, counters)
        self._forgot_at = 0
        self._looked_at: int | None = None
        # Channels that missed a message in this turn.
        self._away: set[int] = set()

    async def turn(self) -> int:
        """Read what is new, send what is due; return how many were sent or tried, ``BATCH`` or more while there is more
        to read."""
        now = self._clock.now_ns()
        if self._looked_at is None or now < self._looked_at:
            await asyncio.to_thread(self._follow_clock, now)
        self._looked_at = now
        more = True
        for _ in range(_READS):
            # Not until nothing is left: alarms that come faster than they are read would keep all from being sent.
            more = bool(await asyncio.to_thread(self._feed.read, now))
            if not more:
                break
        if not 0 <= now - self._forgot_at < _FORGET_EVERY:
            self._forgot_at = now
            await asyncio.to_thread(self._forget, now)
        rows = await asyncio.to_thread(self._due, now)
        self._away.clear()
        slots = asyncio.Semaphore(AT_ONCE)
        # All of them, whatever becomes of one: the next turn must find nothing on its way.
        ended = await asyncio.gather(*(self._one(row, slots) for row in rows), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        return max(len(rows), BATCH) if more else len(rows)

    def _follow_clock(self, now: int) -> None:
        """What was queued before the clock was set back must not wait for as long as it was wrong."""
        later = now + _CLOCKS_DIFFER
        with reading(self._engine) as connection:
            if not outbox.of_the_future(connection, later):
                return
        with writing(self._engine) as connection:
            outbox.begin_again(connection, later, now)
        logger.warning("the clock was set back; what waits was queued anew")

    def _forget(self, now: int) -> None:
        while True:
            with writing(self._engine) as connection:
                if not outbox.forget(connection, now - KEPT):
                    return

    def _due(self, now: int) -> list[Any]:
        with reading(self._engine) as connection:
            return outbox.due(connection, now, BATCH)

    async def _one(self, row: Any, slots: asyncio.Semaphore) -> None:
        async with slots:
            if row.channel_id in self._away:
                return  # in the next turn: who waits for a channel that is away holds up the others
            try:
                await asyncio.to_thread(self._handle, row)
            except Exception:
                # A fault of ours at one message must stop no other; it is tried again later.
                logger.exception("notification %s was not handled", row.id)
                await asyncio.to_thread(self._settle, row, Step.MISSED, "internal error", "", "", "")

    def _handle(self, row: Any) -> None:
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            owner, channel = definitions.channels(connection).get(row.channel_id, (0, None))
            if channel is None or owner != row.tenant_id or not channel.enabled:
                return self._settle(row, Step.REFUSED, "the channel is gone or disabled", "", "", "")
            message = self._message(connection, row, channel, now)
        if isinstance(message, str):
            return self._settle(row, Step.POINTLESS, message, "", "", "")
        try:
            receipt = self._send(channel.settings, self._secret_of(row.channel_id), message, now)
        except MissedError as error:
            self._away.add(row.channel_id)
            return self._settle(row, Step.MISSED, str(error), "", message.subject, message.text)
        except RefusedError as error:
            return self._settle(row, Step.REFUSED, str(error), "", message.subject, message.text)
        step = Step.REACHED if receipt.reached else Step.TAKEN
        return self._settle(row, step, "", receipt.reference, message.subject, message.text)

    def _message(self, connection: Any, row: Any, channel: ChannelBody, now: int) -> Message | str:
        """Return the message, or why there is nothing to say any more."""
        if not row.alarm_id and not row.flood_id:
            return test_message(row, channel)
        if not row.alarm_id:
            ids = [item.alarm_id for item in outbox.collapsed(connection, row)]
            found = alarm_records.by_ids(connection, sorted(set(ids)))
            return digest_message(row, list(found.values())) if found else "nothing to tell"
        alarm = alarm_records.by_ids(connection, [row.alarm_id]).get(row.alarm_id)
        if alarm is None:
            return "the alarm is gone"
        state = State(alarm.state)
        if state not in ANNUNCIATED and state is not State.CLOSED:
            return f"the alarm is {state.replace('_', ' ')}"
        if state not in UNACKNOWLEDGED:
            return "the alarm is acknowledged" if state is not State.CLOSED else "the alarm is closed"
        if alarm.annunciated_at != row.annunciated_at:
            return "the alarm was annunciated again"
        link = ""
        if channel.link_base:
            made = token(self._link_key, row.id, now)
            link = f"{channel.link_base.rstrip('/')}/v1/notifications/acknowledge/{made}"
        return alarm_message(row, alarm, link)

    def _settle(self, row: Any, step: Step, error: str, reference: str, subject: str, text: str) -> None:
        now = self._clock.now_ns()
        attempts = row.attempts + (step in (Step.TAKEN, Step.REACHED, Step.MISSED, Step.REFUSED))
        state = next_delivery(Delivery.QUEUED, step, attempts)
        assert state is not None
        values: dict[str, Any] = {"state": str(state), "attempts": attempts, "error": error[:1000]}
        if subject:
            values |= {"subject": subject, "text": _without_link(text)}
        if state in (Delivery.SENT, Delivery.DELIVERED):
            values |= {"sent_at": now, "receipt": reference[:300]}
            self._counters.add("notifications_sent")
        if state is Delivery.DELIVERED:
            values["delivered_at"] = now
        if state is Delivery.QUEUED:
            values["due_at"] = now + wait_ns(attempts, self._luck())
            self._counters.add("notifications_missed")
        if state is Delivery.FAILED:
            self._counters.add("notifications_failed")
        if state is Delivery.CANCELLED:
            self._counters.add("notifications_cancelled")
        with writing(self._engine) as connection:
            # Somebody may have confirmed it meanwhile, by the link of an earlier try.
            outbox.change(connection, row.id, str(Delivery.QUEUED), **values)


def _without_link(text: str) -> str:
    """Return a text as it is kept: whoever reads receipts must not find links that act for others."""
    return "\n".join(line for line in text.splitlines() if "/v1/notifications/acknowledge/" not in line)
