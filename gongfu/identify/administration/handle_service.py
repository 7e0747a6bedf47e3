"""A node's Handle service, composed: one call for whoever starts a server."""

import secrets
import time
from collections.abc import Callable

from gongfu.identify.administration.challenging import Challenging
from gongfu.identify.administration.credential import ServerKey
from gongfu.identify.administration.operations import Operations, Recurse, Store, values_here
from gongfu.identify.authentication.authenticator import Authenticator, Elsewhere
from gongfu.identify.authentication.authorization import Authorization, Granted, nobody
from gongfu.identify.authentication.challenges import Challenges
from gongfu.identify.handle.answer_cache import AnswerCache
from gongfu.identify.handle.answering import NO_SITE, Answering
from gongfu.identify.handle.predefined import Interface, Server, Site
from gongfu.kernel.counters import Counters

_ADMINISTRATION, _RESOLUTION = 1, 2
_UDP, _TCP, _HTTP = 0, 1, 2


class HandleService:
    """What answers the Handle protocol, and what tells who asks; the HTTP face needs the latter too.

    Attributes:
        answering: for ``HandleServer``.
        authorization: who may do what.
        authenticator: who is who.
    """

    def __init__(
        self,
        store: Store,
        counters: Counters,
        *,
        site: Callable[[], Site | None] = lambda: None,
        key: ServerKey | None = None,
        granted: Granted | None = None,
        granted_change: Granted | None = None,
        recurse: Recurse | None = None,
        elsewhere: Elsewhere | None = None,
        now: Callable[[], int] = lambda: int(time.time()),
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[int], bytes] = secrets.token_bytes,
        kept: AnswerCache | None = None,
    ) -> None:
        """Make it.

        Args:
            store: the identifiers.
            counters: see ``Answering`` and ``Authenticator``.
            site: where this service is.
            key: signs answers.
            granted: who may read single values.
            granted_change: who may change single values.
            recurse: asks other services.
            elsewhere: finds public keys at other services.
            now: UTC seconds.
            clock: seconds, never backwards.
            draw: so many random bytes.
            kept: answers that are given again; of the usual size where there is none.
        """
        values = values_here(store)
        self.authorization = Authorization(values, granted or nobody, granted_change or nobody)
        self.authenticator = Authenticator(values, counters, elsewhere=elsewhere, clock=clock)
        self._kept = AnswerCache() if kept is None else kept
        operations = Operations(store, self.authorization, site=site, recurse=recurse)
        challenges = Challenges(clock=clock, draw=draw)

        def serial() -> int:
            known = site()
            return NO_SITE if known is None else known.serial

        self.answering = Answering(
            Challenging(operations.by_code, self.authenticator, challenges).operations(),
            counters,
            now=now,
            site_serial=serial,
            certify=None if key is None else key.certify,
            kept=self._kept,
        )

    def changed(self, handles: frozenset[str], prefixes: frozenset[str]) -> None:
        """Forget answers that may be wrong now: for ``Identifiers.watch``."""
        if prefixes:
            self._kept.clear()
        else:
            self._kept.forget(handles)

    def site_changed(self) -> None:
        """Forget all answers: they bear the serial number of the site."""
        self._kept.clear()


def one_server_site(
    serial: int,
    address: str,
    *,
    handle_port: int,
    http_port: int = 0,
    public_key: bytes = b"",
    description: str = "",
) -> Site:
    """Return a site of one server, which takes changes.

    Args:
        serial: of this information; more whenever it changes.
        address: of the server, an IP address.
        handle_port: of UDP and TCP.
        http_port: 0 is none.
        public_key: of the server, as in an ``HS_PUBKEY`` value.
        description: for people.
    """
    both = _ADMINISTRATION | _RESOLUTION
    interfaces = [Interface(_RESOLUTION, _UDP, handle_port), Interface(both, _TCP, handle_port)]
    if http_port:
        interfaces.append(Interface(both, _HTTP, http_port))
    attributes = (("desc", description),) if description else ()
    return Site(serial, attributes=attributes, servers=(Server(1, address, public_key, tuple(interfaces)),))
