"""Sending encoded requests over asyncua's secure channel: the one place that reaches behind asyncua's public functions.

asyncua builds and parses an object for every value; our hot requests are bytes already (``wire/requests.py``) and their
answers go to ``wire/responses.py`` as bytes. Channel, chunks, signatures and encryption stay asyncua's (2.x).
"""

import asyncio
import logging
import time
from typing import Any

from asyncua.client.client import Client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.ua.ua_binary import nodeid_to_binary

from gongfu.connect.opcua.wire.requests import request
from gongfu.connect.opcua.wire.variants import nanoseconds_to_ticks

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes; an answer that is longer ends the connection."""

# Its records of single requests are of no use to an operator; what matters is raised and counted by us.
logging.getLogger("asyncua").setLevel(logging.CRITICAL)


def bound_messages(client: Client) -> None:
    """Refuse answers over MAX_MESSAGE, whatever the server acknowledged."""
    limits = _protocol(client)._connection._limits
    if not 0 < limits.max_message_size <= MAX_MESSAGE:
        limits.max_message_size = MAX_MESSAGE


def _protocol(client: Client) -> UASocketProtocol:
    protocol = client.uaclient.protocol
    if protocol is None or protocol.transport is None:
        raise ConnectionError("the connection is closed")
    return protocol


def send(client: Client, type_id: int, body: bytes, timeout: float) -> asyncio.Future[Any]:
    """Send an encoded request; the future has the body of the answer.

    Args:
        client: a client with an active session.
        type_id: encoding id of the request.
        body: encoded parameters.
        timeout: seconds, as the hint in the header; 0: none.

    Raises:
        ConnectionError: there is no connection.
    """
    protocol = _protocol(client)
    protocol._request_handle += 1
    protocol._request_id += 1
    token = nodeid_to_binary(protocol.authentication_token)
    raw = request(type_id, token, nanoseconds_to_ticks(time.time_ns()), protocol._request_handle, timeout, body)
    protocol.revolve_security_token()
    message = protocol._connection.message_to_binary(raw, request_id=protocol._request_id)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    protocol._callbackmap[protocol._request_id] = answer
    assert protocol.transport is not None
    protocol.transport.write(message)
    return answer


async def ask(client: Client, type_id: int, body: bytes, patience: float) -> bytes:
    """Send an encoded request and return the encoded answer.

    Args:
        client: a client with an active session.
        type_id: encoding id of the request.
        body: encoded parameters.
        patience: seconds; 0 waits as long as the connection lasts.

    Raises:
        ConnectionError: the connection is closed or broke.
        TimeoutError: no answer in time.
        UaStatusCodeError: the server ended the connection and said why.
    """
    # A request that is given up stays in asyncua's table, so that its late answer is known.
    answer = await asyncio.wait_for(send(client, type_id, body, patience), patience or None)
    return answer.read(len(answer))


async def exchange(client: Client, request: Any, patience: float) -> bytes:
    """Send a request of asyncua's own types and return the encoded answer; raises as ``ask`` does."""
    answer = await _protocol(client).send_request(request, patience)
    return answer.read(len(answer))
