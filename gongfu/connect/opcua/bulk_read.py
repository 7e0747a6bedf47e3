"""Reading many nodes again and again: nodes registered once, requests encoded once.

Source: OPC 10000-4 §5.9.5 (RegisterNodes), §5.11.2 (Read).
"""

from collections.abc import Sequence
from typing import Any

from asyncua.ua.ua_binary import nodeid_from_binary, nodeid_to_binary
from asyncua.ua.uaerrors import UaError

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.wire.columns import Columns
from gongfu.connect.opcua.wire.requests import BOTH_TIMES, READ_REQUEST, VALUE, read_body
from gongfu.connect.opcua.wire.responses import read_response

DEFAULT_BATCH = 2000
"""Nodes a request where the server names no limit."""


def to_node_id(node: bytes) -> Any:
    """Return asyncua's object of an encoded NodeId."""
    return nodeid_from_binary(ua.utils.Buffer(node))


class BulkRead:
    """One attribute of a fixed list of nodes.

    Attributes:
        registered: the server gave short names for the nodes.
    """

    def __init__(
        self, session: Session, nodes: Sequence[bytes], batch: int, attribute: int = VALUE, times: int = BOTH_TIMES
    ) -> None:
        self.registered = False
        self._session = session
        self._nodes = list(nodes)
        self._batch = max(1, batch or DEFAULT_BATCH)
        self._attribute = attribute
        self._times = times
        self._bodies: list[bytes] = []
        self._encode()

    def _encode(self) -> None:
        self._bodies = [
            read_body(self._nodes[start : start + self._batch], self._attribute, self._times)
            for start in range(0, len(self._nodes), self._batch)
        ]

    async def register(self) -> None:
        """Let the server give short names for the nodes; a server without them is read by the long ones."""
        found: list[bytes] = []
        try:
            for start in range(0, len(self._nodes), self._batch):
                part = [to_node_id(node) for node in self._nodes[start : start + self._batch]]
                given = await self._session.client.uaclient.session.register_nodes(part)
                found += [nodeid_to_binary(node) for node in given]
        except (UaError, OSError, TimeoutError):
            return
        if len(found) == len(self._nodes):
            self._nodes = found
            self.registered = True
            self._encode()

    async def read(self) -> Columns:
        """Read all once; keys are 0, 1, 2… in the order given.

        Raises:
            DriverError: the connection failed or the server refused.
        """
        whole = Columns()
        for body in self._bodies:
            raw = await self._session.ask(READ_REQUEST, body)
            part = await self._session.guard("Reading at " + self._session.url, _decoded(raw))
            if len(part) != int.from_bytes(body[12:16], "little"):
                raise DriverError(
                    Reason.PROTOCOL,
                    f"{self._session.url} answered another number of values than was asked for.",
                    "Read fewer nodes at once, and report it to the server's maker.",
                )
            whole.values += part.values
            whole.status += part.status
            whole.source += part.source
            whole.server += part.server
        whole.keys = list(range(len(whole.values)))
        return whole


async def _decoded(raw: bytes) -> Columns:
    return read_response(raw)


async def read_once(session: Session, nodes: Sequence[bytes], attribute: int, batch: int) -> Columns:
    """Read one attribute of nodes once, without registering them; errors as ``BulkRead.read``."""
    return await BulkRead(session, nodes, batch, attribute).read()
