"""Sparkplug edge nodes over HTTP: which there are, and commands to them (docs/connect/sparkplug.md)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec

from gongfu.ingest.sparkplug.host import Outcome
from gongfu.ingest.sparkplug.services import MAX_WAIT_S, CommandRequest, NodesRequest
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Action, Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.rest.routing import Call, Route

_MOST = 1000
# Asks all front doors for edge nodes.
AskNodes = Callable[[NodesRequest], Awaitable[list[dict[str, Any]]]]
# Gives a command to a front door.
AskCommand = Callable[[str, CommandRequest], Awaitable[Outcome]]
# Raises ``Problem`` for values that the thing model of the asset does not allow: tenant, sender, path below its asset.
CheckValues = Callable[[int, int, str, Mapping[str, Any]], Awaitable[None]]
# Writes the audit entry: subject, resource, detail.
NoteCommand = Callable[[Subject, str, str], Awaitable[None]]


class EdgeNode(msgspec.Struct, frozen=True):
    """An edge node as the host knows it. ``device`` is the id of the device that it signs in as."""

    device: int
    edge: str
    phase: str
    online: bool
    since: str | None
    bd_seq: int | None
    devices: dict[str, bool]
    gaps: int
    duplicates: int
    deaths_ignored: int


class EdgeNodes(msgspec.Struct, frozen=True):
    """A page of edge nodes; ``next`` is the ``after`` of the page behind, None at the end."""

    items: list[EdgeNode]
    next: str | None = None


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to write: to the edge node ``<group>/<edge node>``, or to one of its devices.

    ``sender`` is needed when several of your devices send for an edge node of this name. ``wait`` is seconds.
    """

    edge: str
    values: dict[str, Any]
    device: str = ""
    sender: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    wait: float = 10.0


class CommandAnswer(msgspec.Struct, frozen=True):
    """``confirmed`` when all values came back from the edge node within the time; else what is missing."""

    confirmed: bool
    sent_at: str
    confirmed_at: str | None
    missing: Mapping[str, Any]
    reported: Mapping[str, Any]


def routes(ask_nodes: AskNodes, ask_command: AskCommand, note: NoteCommand, check: CheckValues) -> list[Route]:
    """Return the routes."""

    async def listed(call: Call) -> EdgeNodes:
        limit = call.query.get("limit", "100")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= _MOST:
            raise invalid(f"limit must be an integer from 1 to {_MOST}")
        most = int(limit)
        found = await ask_nodes(NodesRequest(call.subject.tenant, call.query.get("after", ""), most + 1))
        items = [_node(item) for item in sorted(found, key=lambda item: (item["edge"], item["device"]))]
        return EdgeNodes(items[:most], items[most - 1].edge if len(items) > most else None)

    async def commanded(call: Call) -> CommandAnswer:
        command: Command = call.body
        if not 0 <= command.wait <= MAX_WAIT_S:
            raise invalid(f"wait must be 0 to {MAX_WAIT_S:g} seconds")
        tenant = call.subject.tenant
        found = [
            item
            for item in await ask_nodes(NodesRequest(tenant, edge=command.edge))
            if command.sender in (None, item["device"])
        ]
        if not found:
            raise not_found(f"edge node {command.edge[:200]!r} has not been seen")
        if len(found) > 1:
            senders = ", ".join(str(item["device"]) for item in found)
            raise Problem(409, "edge-node-ambiguous", "Several devices send for this edge node", f"sender: {senders}")
        node = found[0]
        path = f"{command.edge}/{command.device}" if command.device else command.edge
        await check(tenant, node["device"], path, command.values)
        await note(call.subject, f"sparkplug/{path}"[:200], ", ".join(sorted(command.values))[:500])
        request = CommandRequest(tenant, node["device"], command.edge, command.device, command.values, command.wait)
        outcome = await ask_command(node["door"], request)
        return CommandAnswer(
            outcome.confirmed,
            format_rfc3339(outcome.sent_at),
            format_rfc3339(outcome.confirmed_at) if outcome.confirmed_at else None,
            outcome.missing,
            outcome.reported,
        )

    return [
        Route(
            "GET",
            "/sparkplug/nodes",
            Action.READ,
            listed,
            "List the Sparkplug edge nodes that front doors know",
            response=EdgeNodes,
        ),
        Route(
            "POST",
            "/sparkplug/commands",
            Action.DEVICE_SEND,
            commanded,
            "Write metrics of an edge node or device (NCMD, DCMD) and wait for their effect",
            request=Command,
            response=CommandAnswer,
        ),
    ]


def _node(item: dict[str, Any]) -> EdgeNode:
    return msgspec.convert({name: value for name, value in item.items() if name != "door"}, EdgeNode)
