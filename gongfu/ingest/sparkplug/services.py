"""What the Sparkplug hosts of all front doors tell each other and answer on the node's bus."""

import asyncio
import base64
import contextlib
from dataclasses import asdict
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.bus.requests import serve
from gongfu.ingest.sparkplug.host import SparkplugHost
from gongfu.ingest.sparkplug.sessions import EdgeSession, Phase
from gongfu.kernel.errors import invalid
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import format_rfc3339

EVENT_SECONDS = 0.05
# Births in one message, and edge nodes in one answer.
_BIRTHS = 1000
MAX_NODES = 1000
MAX_WAIT_S = 60.0
_COMMANDS_AT_ONCE = 64


class Born(msgspec.Struct, frozen=True):
    """Edge nodes that were born at a front door: (device id of the sender, group/edge node, bdSeq)."""

    door: str
    born: list[tuple[int, str, int | None]]


class NodesRequest(msgspec.Struct, frozen=True):
    """Edge nodes of a tenant, by ``<group>/<edge node>`` in order: those behind ``after``, or those named ``edge``."""

    tenant: int
    after: str = ""
    limit: int = 100
    edge: str = ""


class CommandRequest(msgspec.Struct, frozen=True):
    """A command to an edge node (``child`` is empty) or device."""

    tenant: int
    device: int
    edge: str
    child: str
    values: dict[str, Any]
    wait: float = 10.0


def command_service(door: str) -> str:
    """Return the name of the service that takes commands at a front door."""
    return f"sparkplug-command-{base64.urlsafe_b64encode(door.encode()).decode().rstrip('=')}"


class SparkplugServices:
    """Connects the host of a front door to the bus. ``start`` before the door listens."""

    def __init__(self, bus: Client, subjects: Subjects, host: SparkplugHost, door: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._host = host
        self._door = door
        self._born: list[tuple[int, str, int | None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Follow the births at other front doors, answer requests."""
        bus, subjects = self._bus, self._subjects
        self._host.on_born = self._note
        self._subscriptions = [
            await subscribe(bus, subjects.door("sparkplug"), self._born_elsewhere),
            await serve(bus, subjects.service("sparkplug"), self._nodes, NodesRequest),
            await serve(
                bus,
                subjects.service(command_service(self._door)),
                self._command,
                CommandRequest,
                at_once=_COMMANDS_AT_ONCE,
            ),
        ]

    async def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        for subscription in self._subscriptions:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    # --- births ----------------------------------------------------------------------------------------------------

    def _note(self, session: EdgeSession) -> None:
        self._born.append((*session.key, session.bd_seq))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVENT_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        task = asyncio.get_running_loop().create_task(self._send_births())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_births(self) -> None:
        born, self._born = self._born, []
        with contextlib.suppress(NatsError, OSError):
            for start in range(0, len(born), _BIRTHS):
                event = Born(self._door, born[start : start + _BIRTHS])
                await self._bus.publish(self._subjects.door("sparkplug"), msgspec.json.encode(event))

    async def _born_elsewhere(self, message: Msg) -> None:
        try:
            event = msgspec.json.decode(message.data, type=Born)
        except msgspec.MsgspecError:
            return
        if event.door != self._door:
            for device, edge, bd_seq in event.born:
                self._host.sessions.elsewhere((device, edge), bd_seq)

    # --- requests --------------------------------------------------------------------------------------------------

    async def _nodes(self, request: NodesRequest) -> dict[str, Any]:
        found = sorted(
            (
                session
                for session in self._host.sessions
                if session.tenant == request.tenant
                and session.phase is not Phase.ELSEWHERE
                and session.key[1] > request.after
                and request.edge in ("", session.key[1])
            ),
            key=lambda session: (session.key[1], session.key[0]),
        )
        return {"items": [self._describe(session) for session in found[: min(request.limit, MAX_NODES)]]}

    def _describe(self, session: EdgeSession) -> dict[str, Any]:
        device, edge = session.key
        return {
            "door": self._door,
            "device": device,
            "edge": edge,
            "phase": session.phase.name.lower(),
            "online": session.alive,
            "since": format_rfc3339(session.since) if session.since else None,
            "bd_seq": session.bd_seq,
            "devices": {path[len(edge) + 1 :]: alive for path, alive in sorted(session.devices.items())},
            "gaps": session.gaps,
            "duplicates": session.duplicates,
            "deaths_ignored": session.deaths_ignored,
        }

    async def _command(self, request: CommandRequest) -> dict[str, Any]:
        if not request.values:
            raise invalid("there is nothing to write")
        wait = min(max(request.wait, 0.0), MAX_WAIT_S)
        outcome = await self._host.command(
            request.tenant, request.device, request.edge, request.child, request.values, wait
        )
        return asdict(outcome)
