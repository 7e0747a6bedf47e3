"""The one place that opens NATS connections."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

# A server of a cluster that does not answer is left after two pings; a single one is waited for, so that is rarer.
_CLUSTER_PING_S = 2
_PING_S = 120

# Bytes of unsent data a client may hold; a block is at most 8 MiB.
PENDING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where NATS is: one or several URLs, and the token of this node (never logged).

    With a user the token is that user's password: servers with users take no bare token.
    """

    servers: tuple[str, ...]
    token: str = ""
    user: str = ""


async def open_bus(
    address: BusAddress, name: str, *, on_state: Callable[[str], Awaitable[None]] | None = None
) -> Client:
    """Return a connected client that reconnects for ever.

    Args:
        address: the servers and the token.
        name: name of the process, shown by NATS monitoring.
        on_state: called with ``disconnected`` or ``reconnected``.
    """

    async def report(state: str) -> None:
        if on_state is not None:
            await on_state(state)

    async def disconnected() -> None:
        await report("disconnected")

    async def reconnected() -> None:
        await report("reconnected")

    async def ignore(_: Exception) -> None:
        """Errors of the connection show as state changes and failed requests; nats-py's default prints them."""

    return await nats.connect(  # pyright: ignore[reportUnknownMemberType]: nats-py leaves **options untyped
        servers=list(address.servers),
        token=None if address.user else address.token or None,
        user=address.user or None,
        password=address.token if address.user else None,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,
        connect_timeout=5,
        pending_size=PENDING_BYTES,
        ping_interval=_CLUSTER_PING_S if len(address.servers) > 1 else _PING_S,
        max_outstanding_pings=2,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        error_cb=ignore,
        allow_reconnect=True,
    )


async def subscribe(
    bus: Client, subject: str, callback: Callable[[Msg], Awaitable[None]], queue: str = ""
) -> Subscription:
    """Return a subscription whose messages are given to ``callback`` one after another.

    The limits of nats-py apply to what waits: 512 Ki messages, 128 MiB; what exceeds them is dropped.
    """
    return await bus.subscribe(subject, queue=queue, cb=callback)  # pyright: ignore[reportUnknownMemberType]
