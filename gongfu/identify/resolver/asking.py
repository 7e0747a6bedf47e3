"""One question to one service: UDP first, TCP where UDP has no answer or no port, then the next server."""

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gongfu.identify.handle.bodies import Resolution, encode_resolution
from gongfu.identify.handle.client import ask_tcp, ask_udp
from gongfu.identify.handle.codes import OpCode, ResponseCode
from gongfu.identify.handle.envelope import Header, Message
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.resolver.sites import Endpoint
from gongfu.identify.resolver.types import CacheState, Hop

# Answers after which another server of the service may have a better one.
_TRY_NEXT = frozenset({ResponseCode.SERVER_BUSY, ResponseCode.ERROR, ResponseCode.PROTOCOL_ERROR})


class Patience(msgspec.Struct, frozen=True):
    """How long is waited for an answer.

    Attributes:
        udp_seconds: until a datagram is sent again.
        udp_tries: how often it is sent.
        tcp_seconds: for connection and answer.
        total_seconds: of a resolution with all its steps.
    """

    udp_seconds: float = 0.8
    udp_tries: int = 2
    tcp_seconds: float = 3.0
    total_seconds: float = 10.0


class Questioner:
    """Asks servers; every try is a hop of the trace."""

    def __init__(self, patience: Patience | None = None) -> None:
        """Make it."""
        self.patience = patience or Patience()

    async def ask(
        self,
        servers: Sequence[Endpoint],
        question: Resolution,
        hops: list[Hop],
        *,
        flags: int = 0,
        recursions: int = 0,
        cache: CacheState = CacheState.MISS,
    ) -> Message | None:
        """Return the first answer; None where there is none.

        Args:
            servers: of one service, the best first.
            question: what to ask.
            hops: of the resolution; the tries are put to them.
            flags: ``OpFlag``.
            recursions: how often the question was passed on.
            cache: how it was known whom to ask.
        """
        header = Header(OpCode.RESOLUTION, flags=flags, recursions=recursions)
        message = Message(header, encode_resolution(question))
        patience = self.patience
        answer: Message | None = None
        for server in servers:
            ways: list[tuple[str, int, Callable[[], Awaitable[Message]]]] = []
            if server.udp:
                ways.append(("udp", server.udp, lambda at=server: ask_udp(
                    at.address, at.udp, message, patience.udp_seconds, patience.udp_tries)))  # fmt: skip
            if server.tcp:
                ways.append(("tcp", server.tcp, lambda at=server: ask_tcp(
                    at.address, at.tcp, message, patience.tcp_seconds)))  # fmt: skip
            for way, port, ask in ways:
                said = await _once(f"{way} {_bracketed(server.address)}:{port}", ask, question.handle, hops, cache)
                if said is not None and said.header.response not in _TRY_NEXT:
                    return said
                answer = answer or said
                if said is not None and not (way == "udp" and said.header.response == ResponseCode.ERROR):
                    # An answer too long for UDP is an error there, too.
                    break
        return answer


async def _once(
    server: str, ask: Callable[[], Awaitable[Message]], handle: str, hops: list[Hop], cache: CacheState
) -> Message | None:
    began = time.monotonic()

    def note(code: ResponseCode | None = None, reason: str = "") -> None:
        taken = round((time.monotonic() - began) * 1000, 3)
        hops.append(Hop(server=server, question=handle, code=code, reason=reason, milliseconds=taken, cache=cache))

    try:
        answer = await ask()
        code = ResponseCode(answer.header.response)
    except TimeoutError:
        note(reason="no answer in time")
    except OSError as error:
        note(reason=f"not reached: {error.strerror or type(error).__name__}")
    except (MalformedError, ValueError) as error:
        note(reason=f"no answer of the protocol: {error}"[:200])
    else:
        if answer.header.operation not in (OpCode.RESOLUTION, 0):
            note(reason="an answer to something else")
            return None
        note(code)
        return answer
    return None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
