"""The OPC UA driver: a client of one server. What it does is in the modules beside it; this one puts them together.

asyncua (LGPL, extra ``opcua``) is imported when a connection is opened, not before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gongfu.connect.kit.hints import refused_figures
from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.methods import Output, Signature
from gongfu.connect.kit.polling import Poller
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.certificates.trust_list import TrustList

if TYPE_CHECKING:
    from gongfu.connect.opcua.browsing import Browser
    from gongfu.connect.opcua.bulk_read import BulkRead
    from gongfu.connect.opcua.gaps import Gaps
    from gongfu.connect.opcua.limits import Limits
    from gongfu.connect.opcua.session import Session
    from gongfu.connect.opcua.stream import Stream
    from gongfu.connect.opcua.unit_watch import UnitWatch


def pki_folder(directory: Path) -> Path:
    """Return the folder of own certificate and trust list, one for all connections of a node.

    Args:
        directory: that of one connection.
    """
    return directory.parent / identity.FOLDER


class OpcUaDriver:
    """One connection to one OPC UA server (see ``kit.types.Driver``)."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).with_name("manifest.toml"))

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session: Session | None = None
        self._limits: Limits | None = None
        self._browser: Browser | None = None
        self._stream: Stream | None = None
        self._gaps: Gaps | None = None
        self._work: list[asyncio.Task[None]] = []
        self._poller: Poller | None = None
        self._reads: dict[int, tuple[Sequence[Address], BulkRead]] = {}
        self._last_read = 0
        self._no_node: list[str] = []
        self._units: UnitWatch | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect (see ``Driver.open``)."""
        from gongfu.connect.opcua.limits import limits_of

        session = self._new_session()
        await session.open()
        self._session = session
        self._limits = await limits_of(session)

    async def close(self) -> None:
        """End the connection (see ``Driver.close``)."""
        tasks = self._work if self._looking is None else [*self._work, self._looking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._work.clear()
        if self._gaps is not None:
            await self._gaps.close()
        if self._stream is not None:
            await self._stream.close()
        session, self._session = self._session, None
        if session is not None:
            with suppress(DriverError):
                await session.close()

    async def discover(self) -> list[Found]:
        """Return the server's endpoints, one a kind of security (see ``Driver.discover``)."""
        from gongfu.connect.opcua.security import MODE_NAMES, endpoints_as_text

        session = self._new_session()
        names = {1: "none", 2: "sign", 3: "sign-and-encrypt"}
        endpoints = await session.endpoints()
        return [
            Found(
                url=session.url,
                name=endpoint.server_name or endpoint.server_uri,
                description=f"{endpoint.policy_name}, {MODE_NAMES.get(endpoint.mode, '?')}; "
                f"sign-in: {', '.join(endpoints_as_text([endpoint])['sign_in'])}",
                options={"security": names.get(endpoint.mode, "auto")}
                | ({"policy": endpoint.policy_name} if endpoint.mode != 1 else {}),
            )
            for endpoint in endpoints
        ]

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return nodes below ``parent`` (see ``Driver.browse``)."""
        from gongfu.connect.opcua.browsing import Browser

        session, limits = self._opened()
        if self._browser is None:
            self._browser = Browser(session, limits)
        return await self._browser.browse(parent, limit, cursor)

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Read each address once (see ``Driver.read``); the same list again is read by registered nodes."""
        from gongfu.connect.opcua.sinking import readings

        bulk = await self._bulk(addresses)
        found = readings(await bulk.read())
        self._last_read = self._context.timing.now_ns()
        return found

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Subscribe; what the server has no room for is read in bulk (see ``Driver.subscribe``)."""
        from gongfu.connect.opcua.conditions import Conditions
        from gongfu.connect.opcua.gaps import Gaps, LastHeard
        from gongfu.connect.opcua.stream import Stream
        from gongfu.connect.opcua.subscriptions import Feed, feeds_of
        from gongfu.connect.opcua.targets import places_of, targets_of
        from gongfu.connect.opcua.unit_watch import UnitWatch

        session, limits = self._opened()
        options, timing = self._context.options, self._context.timing
        targets = await targets_of(session, addresses, limits, bool(options.get("server_deadband", False)))
        self._gaps = gaps = Gaps(session, targets, sink, limits, timing)
        gaps.read_history = bool(options.get("history", True))
        heard = LastHeard(self._context.directory)
        since = heard.load()
        mode = options.get("mode", "auto")
        feeds = feeds_of(targets) if mode != "poll" else []
        if options.get("events", True):
            if not feeds:
                feeds = [Feed(1.0, [])]
            feeds[0].events = True
        self._stream = stream = Stream(
            session, feeds, sink, gaps, heard, timing, int(options.get("queue", 10)), limits.items,
            Conditions(places_of(addresses, targets)),
        )  # fmt: skip
        polled = list(range(len(addresses))) if mode == "poll" else []
        try:
            await stream.set_up()
        except DriverError as error:
            if mode == "subscribe" or error.reason not in (Reason.BUSY, Reason.UNSUPPORTED):
                raise
            stream.feeds.clear()
            polled = list(range(len(addresses)))
        refused = [(target.address, target.status) for target in targets if target.status & 0x8000_0000]
        for feed in stream.feeds:
            polled += [target.address for target in feed.overfull]
            refused += feed.refused.items()
        self._refused(refused, sink)
        self._no_node = [addresses[index].where for index, _ in refused]
        if since:
            gaps.report(range(len(addresses)), since, timing.now_ns(), "the connection was closed")
        if polled:
            self._poller = self._poll(addresses, sorted(set(polled)), sink)
            self._work.append(asyncio.create_task(self._run_poller(self._poller, sorted(set(polled)))))
        if stream.feeds:
            self._work.append(asyncio.create_task(stream.run()))
        if every := float(options.get("units", 300)):
            self._units = UnitWatch(session, addresses, targets, sink, limits, every)
            stream.on_semantics = self._units.look_now
            self._looking = asyncio.create_task(self._units.run())

    async def wait(self) -> None:
        """Wait until the connection is lost for longer than it can be healed (see ``Driver.wait``)."""
        if not self._work:
            session, _ = self._opened()
            await session.lost.wait()
            raise DriverError(Reason.UNREACHABLE, f"The connection to {session.url} broke.", "It is tried again.")
        done, _ = await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Write one value and read it back (see ``Driver.write``)."""
        from gongfu.connect.opcua.writing import write

        session, _ = self._opened()
        return await write(session, address.where, value)

    async def signature(self, method: str) -> Signature:
        """Return what a method takes and gives (see ``Calling``)."""
        from gongfu.connect.opcua.methods import signature

        session, _ = self._opened()
        return await signature(session, method)

    async def call_method(self, owner: str, method: str, arguments: Sequence[Value]) -> list[Output]:
        """Call a method of the server (see ``Calling``)."""
        from gongfu.connect.opcua.methods import call

        session, _ = self._opened()
        return await call(session, owner, method, arguments)

    async def acknowledge_alarm(self, key: str, comment: str) -> bool:
        """Acknowledge a condition and its branches (see ``Alarming``)."""
        from gongfu.connect.opcua.acknowledging import acknowledge

        session, _ = self._opened()
        if self._stream is None or not self._context.options.get("acknowledge", True):
            return False
        return await acknowledge(session, key, self._stream.conditions.waiting(key), comment)

    async def refresh_alarms(self) -> None:
        """Ask for the conditions that the server retains (see ``Alarming``)."""
        if self._stream is not None:
            await self._stream.refresh_alarms()

    async def health(self) -> Mapping[str, Any]:
        """Return endpoint, subscriptions and counters (see ``Driver.health``)."""
        session = self._session
        figures: dict[str, Any] = {"open": session is not None and not session.lost.is_set()}
        if session is not None and session.endpoint is not None:
            figures |= {"endpoint": str(session.endpoint), "server": session.endpoint.server_uri}
        if self._stream is not None:
            figures["subscriptions"] = [
                {"id": f.id, "every_s": f.every, "items": len(f.addresses), "sequence": f.watch.last}
                for f in self._stream.feeds
            ]
            figures |= self._stream.counts
        if self._gaps is not None:
            figures |= {"gaps": self._gaps.told, "backfilled": self._gaps.filled}
        if self._poller is not None:
            figures |= {"overruns": self._poller.overruns, "round_s": self._poller.last_s}
        return figures | refused_figures(self._no_node)

    # --- inside

    def _new_session(self) -> "Session":
        if find_spec("asyncua") is None:
            raise DriverError(
                Reason.UNSUPPORTED, "The OPC UA library is not installed.", "Install it: pip install 'gongfu[opcua]'."
            )
        from gongfu.connect.opcua.session import Session, SignIn

        context, folder = self._context, pki_folder(self._context.directory)
        options = context.options
        own = identity.load(folder, datetime.now(UTC))
        sign_in = SignIn(
            url=context.url,
            security=options.get("security", "auto"),
            policy=options.get("policy", "auto"),
            username=options.get("username", ""),
            password=options.get("password", ""),
            timeout=float(options.get("timeout", 10)),
            name=f"Gongfu {context.name}",
        )
        return Session(sign_in, own, TrustList(folder))

    def _opened(self) -> "tuple[Session, Limits]":
        if self._session is None or self._limits is None:
            raise DriverError(Reason.UNREACHABLE, "The connection is not open.", "Open it first.")
        return self._session, self._limits

    async def _bulk(self, addresses: Sequence[Address]) -> "BulkRead":
        from gongfu.connect.opcua.addressing import resolve
        from gongfu.connect.opcua.bulk_read import BulkRead
        from gongfu.connect.opcua.targets import namespaces_of

        session, limits = self._opened()
        known = self._reads.get(id(addresses))
        if known is not None and known[0] is addresses:
            if not known[1].registered:
                await known[1].register()
            return known[1]
        namespaces = await namespaces_of(session)
        bulk = BulkRead(session, [resolve(a.where, namespaces) for a in addresses], limits.read)
        if len(self._reads) > 100:
            self._reads.clear()
        self._reads[id(addresses)] = (addresses, bulk)
        return bulk

    def _refused(self, refused: Sequence[tuple[int, int]], sink: Sink) -> None:
        """Say that these addresses will bring nothing."""
        from gongfu.connect.opcua.quality import quality_of

        if not refused:
            return
        now = self._context.timing.now_ns()
        sink.take([Reading(address, None, quality_of(status), 0) for address, status in refused], now)
        sink.event("opcua.refused", {"points": len(refused), "status": f"0x{refused[0][1]:08X}"})

    def _poll(self, addresses: Sequence[Address], indexes: Sequence[int], sink: Sink) -> Poller:
        return Poller([addresses[i] for i in indexes], self.read, _Shifted(sink, indexes), self._context.timing)

    async def _run_poller(self, poller: Poller, indexes: Sequence[int]) -> None:
        session, _ = self._opened()
        while True:
            breaks = session.breaks
            try:
                await poller.run()
            except DriverError as error:
                since = self._last_read
                self._reads.clear()
                if session.breaks == breaks:  # refused, not broken
                    raise
                await self._healed(error)
                now, self._last_read = self._context.timing.now_ns(), 0
                if self._gaps is not None and since:
                    self._gaps.report(indexes, since, now, "the connection was interrupted")

    async def _healed(self, error: DriverError) -> None:
        """Return when a connection that broke is there again; raises ``error`` when it stays away."""
        from gongfu.connect.opcua.stream import RECOVER

        session, _ = self._opened()
        timing = self._context.timing
        ends = timing.monotonic() + RECOVER
        while session.lost.is_set():
            if timing.monotonic() > ends:
                raise error
            if self._stream is None or not self._stream.feeds:  # else the stream does it
                with suppress(DriverError):
                    await session.reopen()
                    return
            await timing.sleep(0.5)


class _Shifted:
    """A sink for a part of the addresses."""

    def __init__(self, sink: Sink, indexes: Sequence[int]) -> None:
        self._sink = sink
        self._indexes = indexes

    def take(self, readings: Sequence[Reading], received: int) -> None:
        indexes = self._indexes
        self._sink.take([Reading(indexes[r[0]], r[1], r[2], r[3]) for r in readings], received)

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        self._sink.gap([self._indexes[a] for a in addresses], since, until, reason)

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        self._sink.event(kind, detail)

    @property
    def saturated(self) -> bool:
        return self._sink.saturated
