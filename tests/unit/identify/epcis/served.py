"""A node's EPCIS part behind real sockets, and a receiver of webhooks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from gongfu.identify.epcis.capture import Capture, Limits
from gongfu.identify.epcis.delivery import WebhookDelivery
from gongfu.identify.epcis.rest.face import Access, EpcisFace
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.subscriptions import Subscriptions
from gongfu.identify.http.server import HttpServer
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import forbidden, unauthenticated


class Served:
    """What a test speaks with."""

    def __init__(self, client: httpx.AsyncClient, store: EventStore, subscriptions: Subscriptions) -> None:
        self.client = client
        self.store = store
        self.subscriptions = subscriptions

    async def capture(self, body: bytes, **headers: str) -> dict[str, Any]:
        """Capture a document and wait for its job."""
        sent = await self.client.post("/epcis/capture", content=body, headers=headers)
        assert sent.status_code == 202, sent.text
        async with asyncio.timeout(60):
            job = sent.json()
            while job["running"]:
                job = (await self.client.get(sent.headers["Location"])).json()
            return job

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        end = asyncio.get_running_loop().time() + 60
        for _ in iter(condition, True):
            assert asyncio.get_running_loop().time() < end, "it does not come"
            await asyncio.sleep(0.005)


async def _authorize(request: Request, access: Access) -> str:
    who = request.headers.get("authorization", "writer")
    if who == "nobody":
        raise unauthenticated()
    if who == "reader" and access is not Access.READ:
        raise forbidden("reading only")
    return who


@asynccontextmanager
async def served(path: Path, limits: Limits | None = None, **subscribing: Any) -> AsyncIterator[Served]:
    """Serve a store."""
    store = EventStore(path, cache_bytes=8 << 20)
    deliver = WebhookDelivery(allow_loopback=True)
    subscriptions = Subscriptions(store, deliver, **{"first_pause_s": 0.01, "longest_pause_s": 0.02, **subscribing})
    capture = Capture(store, limits=limits, on_stored=subscriptions.stored)
    subscriptions.start()
    server = HttpServer(Counters())
    server.mount("/epcis", EpcisFace(store, capture, _authorize, subscriptions=subscriptions), body_bytes=32 << 20)
    port = await server.start(port=0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield Served(client, store, subscriptions)
    finally:
        await server.stop()
        await subscriptions.close()
        await capture.close()
        await deliver.close()
        store.close()


class Receiver:
    """Takes webhooks; answers with ``statuses`` in turn, then 200; not at all while ``silent``."""

    def __init__(self) -> None:
        self.statuses = list[int]()
        self.silent = False
        self.requests = list[Request]()
        self.url = ""

    async def __call__(self, request: Request) -> Response:
        """Answer."""
        self.requests.append(request)
        if self.silent:
            await asyncio.sleep(3600)
        return Response(self.statuses.pop(0) if self.statuses else 200)

    def events(self) -> list[str]:
        """Return the identifiers of the events that came, in order."""
        return [told["eventID"] for request in self.requests for told in results(request.body)]


def results(body: bytes) -> list[dict[str, Any]]:
    """Return the events of a query document."""
    return orjson.loads(body)["epcisBody"]["queryResults"]["resultsBody"]["eventList"]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen for webhooks."""
    receiver, server = Receiver(), HttpServer(Counters())
    server.mount("/hook", receiver)
    receiver.url = f"http://127.0.0.1:{await server.start(port=0)}/hook?of=us"
    try:
        yield receiver
    finally:
        await server.stop()
