"""What people do with notifications: channels, routes, receipts, and the link that acknowledges."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Engine, Table
from sqlalchemy.exc import IntegrityError

from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.notify import definitions, outbox
from gongfu.reason.notify.channels.destinations import PUBLIC_ONLY, Destinations
from gongfu.reason.notify.feed import begin_reading, overflowed
from gongfu.reason.notify.links import message_of
from gongfu.reason.notify.routing import notification_id
from gongfu.reason.notify.states import Delivery, Step, next_delivery
from gongfu.reason.notify.tables import channel, route
from gongfu.reason.notify.types import ChannelBody, RouteBody, check_channel, check_route
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MAX_DEFINITIONS = 200
# Member of the file of a channel's secret.
MEMBER = "secret"


class ChannelItem(msgspec.Struct, frozen=True, kw_only=True):
    """A channel; ``has_secret`` instead of the secret."""

    id: int
    has_secret: bool
    channel: ChannelBody


class RouteItem(msgspec.Struct, frozen=True, kw_only=True):
    """A route with its number."""

    id: int
    route: RouteBody


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A notification and what became of it; times are RFC 3339 UTC."""

    id: str
    alarm_id: str
    flood_id: int
    route_id: int
    step: int
    channel_id: int
    recipient: str
    state: str
    subject: str
    attempts: int
    due_at: str
    created_at: str
    sent_at: str | None
    delivered_at: str | None
    acknowledged_at: str | None
    receipt: str
    error: str


class OutboxState(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications of the tenant by state, and how many of the node found no room."""

    states: dict[str, int]
    overflowed: int


class NotificationService:
    """Channels, routes and receipts of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        secrets: ConnectionSecrets,
        alarms: AlarmService,
        want: Callable[[], None],
        destinations: Destinations = PUBLIC_ONLY,
    ) -> None:
        """Set up.

        Args:
            engine: the records.
            clock: the time.
            secrets: of channels, by number.
            alarms: acknowledges.
            want: lets the role run from now on.
            destinations: where notifications may go.
        """
        self._engine = engine
        self._clock = clock
        self._secrets = secrets
        self._alarms = alarms
        self._want = want
        self._destinations = destinations

    def channels(self, subject: Subject) -> list[ChannelItem]:
        """Return the channels in order of name."""
        with reading(self._engine) as connection:
            found = definitions.channels(connection, subject.tenant)
        return [self._channel(key, body) for key, (_, body) in found.items()]

    def _channel(self, key: int, body: ChannelBody) -> ChannelItem:
        return ChannelItem(id=key, has_secret=bool(self._secrets.read(key)), channel=body)

    def put_channel(self, subject: Subject, key: int, body: ChannelBody) -> ChannelItem:
        """Make (key 0) or change a channel.

        Raises:
            Problem: 400 when it makes no sense, or when other settings come without the secret, which might then go
                to another server; 403 when nothing may go to its server; 404 when it is not there; 409 when the name
                is taken.
        """
        check_channel(body, self._destinations.why_not)
        if key and body.secret is None and self._secrets.read(key):
            with reading(self._engine) as connection:
                known = definitions.channels(connection, subject.tenant).get(key)
            if known is not None and known[1].settings != body.settings:
                raise invalid("the settings are others: give the secret again, or an empty one for none")
        made = self._put(subject, channel, key, body)
        if body.secret is not None:
            self._secrets.write(made, {MEMBER: body.secret} if body.secret else {})
        self._want()
        return self._channel(made, msgspec.structs.replace(body, secret=None))

    def remove_channel(self, subject: Subject, key: int) -> None:
        """Delete a channel and its secret; what waits for it fails.

        Raises:
            Problem: 404 when it is not there.
        """
        self._remove(subject, channel, key)
        self._secrets.remove(key)

    def routes(self, subject: Subject) -> list[RouteItem]:
        """Return the routes in order of name."""
        with reading(self._engine) as connection:
            found = definitions.routes(connection, subject.tenant)
        return [RouteItem(id=key, route=body) for key, (_, body) in found.items()]

    def put_route(self, subject: Subject, key: int, body: RouteBody) -> RouteItem:
        """Make (key 0) or change a route.

        Raises:
            Problem: 400 when it makes no sense; 404 when it is not there; 409 when the name is taken.
        """
        check_route(body)
        with reading(self._engine) as connection:
            known = definitions.channels(connection, subject.tenant)
        for stage in body.stages:
            if stage.channel_id not in known:
                raise invalid(f"there is no channel {stage.channel_id}")
        return RouteItem(id=self._put(subject, route, key, body), route=body)

    def remove_route(self, subject: Subject, key: int) -> None:
        """Delete a route; what it has queued is still sent.

        Raises:
            Problem: 404 when it is not there.
        """
        self._remove(subject, route, key)

    def _put(self, subject: Subject, table: Table, key: int, body: Any) -> int:
        now, what = self._clock.now_ns(), table.name.replace("_", "-")
        try:
            with writing(self._engine) as connection:
                found = definitions.channels if table is channel else definitions.routes
                if not key and len(found(connection, subject.tenant)) >= MAX_DEFINITIONS:
                    raise invalid(f"at most {MAX_DEFINITIONS} of these")
                made = definitions.put(connection, table, subject.tenant, key, body, now)
                if made is None:
                    raise not_found(f"{what} {key}")
                begin_reading(connection)
                audit.record(connection, subject, f"{what}.write", f"{what}/{made}", now, body.name)
        except IntegrityError:
            raise conflict(f"there is one called {body.name} already") from None
        return made

    def _remove(self, subject: Subject, table: Table, key: int) -> None:
        now, what = self._clock.now_ns(), table.name.replace("_", "-")
        with writing(self._engine) as connection:
            if not definitions.remove(connection, table, subject.tenant, key):
                raise not_found(f"{what} {key}")
            audit.record(connection, subject, f"{what}.delete", f"{what}/{key}", now)

    def test(self, subject: Subject, key: int, recipient: str) -> Receipt:
        """Queue a message that tries a channel; ask for its receipt to see what becomes of it.

        Raises:
            Problem: 404 when the channel is not there; 503 when the outbox is full.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if key not in definitions.channels(connection, subject.tenant):
                raise not_found(f"channel {key}")
            row = outbox.row_of(
                id=notification_id("test", key, recipient, now),
                tenant_id=subject.tenant,
                annunciated_at=now,
                channel_id=key,
                recipient=recipient,
                state=str(Delivery.QUEUED),
                due_at=now,
                created_at=now,
            )
            _, lost = outbox.add(connection, [row], outbox.MAX_QUEUED - outbox.queued(connection))
            if lost:
                raise Problem(503, "outbox-full", "The outbox is full")
            audit.record(connection, subject, "notify-channel.test", f"notify-channel/{key}", now, recipient)
            found = outbox.one(connection, row["id"])
        self._want()
        return receipt(found)

    def receipts(
        self, subject: Subject, after: tuple[int, str] | None, limit: int, state: str | None, alarm: str | None
    ) -> tuple[list[Receipt], tuple[int, str] | None]:
        """Return notifications, newest first, and the key of the next page."""
        if state is not None and state not in list(Delivery):
            raise invalid(f"state must be one of {', '.join(Delivery)}")
        with reading(self._engine) as connection:
            rows = outbox.page(connection, subject.tenant, after, limit + 1, state, alarm)
        last = rows[limit - 1] if len(rows) > limit else None
        return [receipt(row) for row in rows[:limit]], None if last is None else (last.created_at, last.id)

    def state(self, subject: Subject) -> OutboxState:
        """Return how many notifications are in each state."""
        with reading(self._engine) as connection:
            found = outbox.count_by_state(connection, subject.tenant)
            return OutboxState(
                states={str(one): found.get(one, 0) for one in Delivery}, overflowed=overflowed(connection)
            )

    def confirm(self, key: bytes, token: str) -> str:
        """Acknowledge by the link of a notification, once; return the alarm's message. That the link is used and that
        the alarm is acknowledged is one transaction.

        Args:
            key: signs the links.
            token: of the link.

        Raises:
            Problem: 404 when the link is forged or has ended; 409 when it was used, the alarm is acknowledged, or it
                was annunciated again since, of which a later notification tells.
        """
        now = self._clock.now_ns()
        message = message_of(key, token, now)
        if message is None:
            raise not_found("this link is not valid any more")
        with writing(self._engine) as connection:
            row = outbox.one(connection, message)
            if row is None or not row.alarm_id:
                raise not_found("this link is not valid any more")
            state = next_delivery(Delivery(row.state), Step.CONFIRMED, 0)
            if state is None:
                raise conflict("this link was used already")
            outbox.change(connection, message, row.state, state=str(state), acknowledged_at=now)
            subject = Subject(0, f"link to {row.recipient}"[:120], row.tenant_id, Role.OPERATOR)
            words = "by the link of a notification"
            event = self._alarms.acknowledge_in(connection, subject, row.alarm_id, words, row.annunciated_at)
        self._alarms.announce(event)
        return event.alarm.message


def receipt(row: Any) -> Receipt:
    """Return the API's form of a row of the outbox."""

    def time(value: int | None) -> str | None:
        return None if value is None else format_rfc3339(value)

    return Receipt(
        id=row.id,
        alarm_id=row.alarm_id,
        flood_id=row.flood_id,
        route_id=row.route_id,
        step=row.step,
        channel_id=row.channel_id,
        recipient=row.recipient,
        state=row.state,
        subject=row.subject,
        attempts=row.attempts,
        due_at=format_rfc3339(row.due_at),
        created_at=format_rfc3339(row.created_at),
        sent_at=time(row.sent_at),
        delivered_at=time(row.delivered_at),
        acknowledged_at=time(row.acknowledged_at),
        receipt=row.receipt,
        error=row.error,
    )
