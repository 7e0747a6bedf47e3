"""Requests that wait for a proof of who sent them (RFC 3652 §3.5). Each challenge is answered once, in time."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

NONCE_BYTES = 20
# How long a client has to answer, and what waits for answers.
SECONDS = 60
_MOST = 10_000
_MOST_BYTES = 32 << 20
_MOST_SESSION = 0x7FFF_FFFF


class Challenge(msgspec.Struct, frozen=True, gc=False):
    """What a client was asked to prove.

    Attributes:
        session: names the challenge in the envelopes of it and of its answer.
        nonce: random.
        digest: of the request, without its algorithm.
        request: message without envelope, as it came.
        expires: seconds of the clock.
    """

    session: int
    nonce: bytes
    digest: bytes
    request: bytes
    expires: float

    @property
    def proved(self) -> bytes:
        """What a proof is of."""
        return self.nonce + self.digest


class Challenges:
    """The challenges that were not answered yet; when there are too many, the oldest are forgotten."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        draw: Callable[[int], bytes],
        most: int = _MOST,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Make it.

        Args:
            clock: seconds, never backwards.
            draw: so many random bytes.
            most: challenges.
            most_bytes: of their requests.
        """
        self._clock = clock
        self._draw = draw
        self._most = most
        self._most_bytes = most_bytes
        self._open: OrderedDict[int, Challenge] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def make(self, request: bytes, digest: bytes) -> Challenge:
        """Return a challenge for a request; ``digest`` is of it."""
        now = self._clock()
        session = 0
        while not session or session in self._open:
            session = int.from_bytes(self._draw(4), "big") & _MOST_SESSION
        challenge = Challenge(session, self._draw(NONCE_BYTES), digest, request, now + SECONDS)
        self._open[session] = challenge
        self._bytes += len(request)
        while len(self._open) > self._most or self._bytes > self._most_bytes or self._oldest().expires <= now:
            self._forget(next(iter(self._open)))
        return challenge

    def take(self, session: int) -> Challenge | None:
        """Return the challenge of a session, once; None where there is none, or its time is over."""
        challenge = self._forget(session)
        return challenge if challenge is not None and challenge.expires > self._clock() else None

    def _oldest(self) -> Challenge:
        return next(iter(self._open.values()))

    def _forget(self, session: int) -> Challenge | None:
        challenge = self._open.pop(session, None)
        if challenge is not None:
            self._bytes -= len(challenge.request)
        return challenge
