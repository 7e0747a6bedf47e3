"""The faces of the identifier service on this node: Handle protocol, HTTP and DNS over one store."""

import time
from collections.abc import Callable, Mapping, Sequence

from gongfu.identify.administration.credential import ServerKey
from gongfu.identify.administration.handle_service import HandleService
from gongfu.identify.administration.operations import values_here
from gongfu.identify.digital_link.elements import Element
from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.face import DigitalLinkFace
from gongfu.identify.digital_link.handles import handles_of
from gongfu.identify.digital_link.uri import link_of
from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.below import names_below
from gongfu.identify.dns.server import DnsServer
from gongfu.identify.dns.zones import DnsSettings, Zones
from gongfu.identify.handle.answer_cache import AnswerCache
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.predefined import Site
from gongfu.identify.handle.server import HandleServer
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.http import handles, reverse_lookup
from gongfu.identify.http.handles import HandlesFace
from gongfu.identify.http.reverse_lookup import ReverseLookupFace
from gongfu.identify.http.server import HttpServer
from gongfu.identify.http.tunnel import BODY_BYTES as TUNNEL_BYTES
from gongfu.identify.http.tunnel import TunnelFace
from gongfu.identify.management.grants import Grants
from gongfu.identify.management.templates import Templates
from gongfu.identify.resolver.recursion import elsewhere_of, recursion
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.snms.face import BODY_BYTES as SNMS_BYTES
from gongfu.identify.snms.face import PATHS as SNMS_PATHS
from gongfu.identify.snms.face import SnmsFace
from gongfu.identify.statistics import questions
from gongfu.identify.statistics.resolutions import Resolutions
from gongfu.kernel.counters import Counters
from gongfu.node.runtime import IdentifierSettings

# Of a request and its answer.
_ANSWER_BYTES = 1024


def _seconds() -> int:
    return int(time.time())


def oids_of(settings: IdentifierSettings) -> dict[str, str]:
    """Return the prefix by the OID that it stands for."""
    return {oid: prefix for oid, _, prefix in (text.partition("=") for text in settings.oids)}


def answers_kept(most: int) -> AnswerCache:
    """Return where a face keeps so many answers of the usual length."""
    return AnswerCache(most=most, most_bytes=most * _ANSWER_BYTES)


class IdentifierFaces:
    """All that listens."""

    def __init__(
        self,
        settings: IdentifierSettings,
        identifiers: Identifiers,
        counters: Counters,
        site: Site | None,
        key: ServerKey,
        name: str,
        grants: Grants,
        resolutions: Resolutions,
    ) -> None:
        """Make them.

        Args:
            settings: where they listen.
            identifiers: the store.
            counters: of the process.
            site: where this service is.
            key: signs answers.
            name: of the node, for people.
            grants: who may read and change values besides administrators.
            resolutions: counts what is asked.
        """
        self._settings = settings
        # Where those begin who ask of what is not below this node's prefixes; told by the tree.
        self.roots: Callable[[], Sequence[HandleValue]] = tuple
        self.resolver = Resolver(identifiers.lookup, lambda: self.roots(), counters)
        self.handle = HandleService(
            identifiers,
            counters,
            site=lambda: site,
            key=key,
            granted=grants.may_read,
            granted_change=grants.may_write,
            recurse=recursion(self.resolver) if settings.recursion else None,
            elsewhere=lambda name: self.resolver.values(str(name)),
            kept=answers_kept(settings.handle_answers),
        )
        self._handle_server = HandleServer(self.handle.answering)
        self.http = HttpServer(counters, kept=answers_kept(settings.http_answers))
        self._mount(identifiers, counters, name)
        zones = Zones(
            DnsSettings(
                zone=settings.dns_zone,
                oid_zone=settings.dns_oid_zone,
                ons_root=settings.dns_ons_root,
                oid_prefixes=oids_of(settings),
                addresses=settings.dns_addresses,
            ),
            serial=int(time.time()),
            key_handles=self._key_handles if settings.gs1_prefix else None,
        )
        self.dns = DnsAnswering(
            zones,
            identifiers.lookup,
            counters,
            now=_seconds,
            resolve=self.resolver.found if settings.recursion else None,
            below=names_below(identifiers),
            namespace=lambda: identifiers.namespace,
            cached=settings.dns_answers,
        )
        self._dns_server = DnsServer(self.dns, counters)
        note_http = resolutions.face(bytes, questions.http_prefix(settings.gs1_prefix))
        self.handle.answering.noted = resolutions.face(questions.handle_key, questions.handle_prefix)
        self.http.noted = lambda client, target: note_http(client, target)
        self.dns.noted = resolutions.face(questions.dns_key, questions.dns_prefix(zones))
        for watcher in (self.handle.changed, self.http.changed, self.dns.changed, self.resolver.forget):
            identifiers.watch(watcher)

    def _mount(self, identifiers: Identifiers, counters: Counters, name: str) -> None:
        settings, handle = self._settings, self.handle
        records = HandlesFace(
            identifiers,
            handle.authenticator,
            handle.authorization,
            now=_seconds,
            elsewhere=elsewhere_of(self.resolver) if settings.recursion else None,
        )
        self.http.mount(handles.PATH, records)

        def prefixes() -> list[str]:
            return [prefix.name for prefix in identifiers.namespace.prefixes.values()]

        reverse = ReverseLookupFace(identifiers, handle.authenticator, handle.authorization, prefixes)
        self.http.mount(reverse_lookup.PATH, reverse)
        links = DigitalLinkFace(
            identifiers.lookup, settings.gs1_prefix, root=settings.gs1_root, name=name, counters=counters
        )
        # What the HTTP interface of a site means to Handle clients.
        self.http.mount("", TunnelFace(handle.answering, links), body_bytes=TUNNEL_BYTES)

    def _key_handles(self, ai: str, value: str) -> tuple[HandleName, ...]:
        try:
            return handles_of(link_of([Element(ai, value)]), self._settings.gs1_prefix)
        except GS1Error:
            return ()

    def mount_templates(self, identifiers: Identifiers, templates: Templates, counters: Counters) -> None:
        """Mount the second-level node's API, which works with the node's templates."""
        snms = SnmsFace(
            identifiers,
            templates,
            values_here(identifiers),
            authorization=self.handle.authorization,
            now=_seconds,
            counters=counters,
        )
        for path in SNMS_PATHS:
            self.http.mount(path, snms, body_bytes=SNMS_BYTES)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address is taken.
        """
        settings = self._settings
        if settings.handle_port:
            await self._handle_server.start(settings.host, settings.handle_port)
        if settings.http_port:
            await self.http.start(settings.host, settings.http_port)
        if settings.dns_port:
            await self._dns_server.start(settings.host, settings.dns_port)

    async def stop(self) -> None:
        """End; connections are cut off."""
        settings = self._settings
        if settings.dns_port:
            await self._dns_server.stop()
        if settings.http_port:
            await self.http.stop()
        if settings.handle_port:
            await self._handle_server.stop()
        await self.resolver.close()

    def listening(self) -> Mapping[str, str]:
        """Return where each face listens, "" where it does not."""
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ports = {"handle": settings.handle_port, "http": settings.http_port, "dns": settings.dns_port}
        return {face: f"{host}:{port}" if port else "" for face, port in ports.items()}
