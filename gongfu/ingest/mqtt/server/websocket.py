"""MQTT over WebSocket (MQTT 5.0 §6): path ``/mqtt``, subprotocol ``mqtt``, binary messages."""

import asyncio
from contextlib import suppress
from typing import Any, cast

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from gongfu.ingest.mqtt.server.connection import Connection
from gongfu.ingest.mqtt.server.context import DoorContext

PATH = "/mqtt"
SUBPROTOCOL = "mqtt"
UNACCEPTABLE_DATA = 1003
NORMAL = 1000


class _FramedTransport(asyncio.Transport):
    """What the connection writes becomes one binary message; all else is the socket's transport."""

    def __init__(self, transport: asyncio.Transport, websocket: WSConnection) -> None:
        super().__init__()
        self._transport = transport
        self._websocket = websocket

    def write(self, data: Any) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._websocket.send(BytesMessage(data=bytes(data))))

    def close(self) -> None:
        if not self._transport.is_closing():
            with suppress(LocalProtocolError):  # the other side may have closed the WebSocket already
                self._transport.write(self._websocket.send(CloseConnection(code=NORMAL)))
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high=high, low=low)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "gongfu_protocol":
            return "WebSocket"
        return self._transport.get_extra_info(name, default)


class WebSocketConnection(asyncio.Protocol):
    """A socket that speaks HTTP, then WebSocket, then MQTT."""

    def __init__(self, context: DoorContext) -> None:
        self._context = context
        self._websocket = WSConnection(ConnectionType.SERVER)
        self._connection = Connection(context)
        self._transport: asyncio.Transport | None = None
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket is open; the ten seconds for CONNECT begin now."""
        self._transport = cast(asyncio.Transport, transport)
        self._connection.connection_made(_FramedTransport(self._transport, self._websocket))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has read."""
        self._connection.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            self._websocket.receive_data(data)
            parts: list[bytes] = []
            for event in self._websocket.events():
                self._handle(event, transport, parts)
            if parts:
                self._connection.data_received(b"".join(parts))
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._context.counters.add("packets_refused.websocket")
            if isinstance(error, RemoteProtocolError) and error.event_hint is not None:
                with suppress(LocalProtocolError):  # nothing can be said in some states
                    transport.write(self._websocket.send(error.event_hint))
            self._connection.drop("websocket")
            transport.close()

    def _handle(self, event: Event, transport: asyncio.Transport, parts: list[bytes]) -> None:
        if isinstance(event, BytesMessage):
            parts.append(bytes(event.data))
        elif isinstance(event, Request):
            self._upgrade(event, transport)
        elif isinstance(event, Ping):
            transport.write(self._websocket.send(event.response()))
        elif isinstance(event, TextMessage):
            # §6: control packets come in binary data frames only.
            transport.write(self._websocket.send(CloseConnection(code=UNACCEPTABLE_DATA)))
            self._context.counters.add("packets_refused.websocket")
            self._connection.drop("websocket")
            transport.close()
        elif isinstance(event, CloseConnection):
            with suppress(LocalProtocolError):  # we may have closed first
                transport.write(self._websocket.send(event.response()))
            self._connection.drop("websocket_closed")
            transport.close()

    def _upgrade(self, request: Request, transport: asyncio.Transport) -> None:
        path = request.target.partition("?")[0]
        if path == PATH and SUBPROTOCOL in request.subprotocols:
            transport.write(self._websocket.send(AcceptConnection(subprotocol=SUBPROTOCOL)))
            return
        status = 404 if path != PATH else 400
        transport.write(self._websocket.send(RejectConnection(status_code=status)))
        self._context.counters.add("packets_refused.websocket")
        self._connection.drop("websocket")
        transport.close()
