"""The HTTP driver: documents are fetched at the rate of their addresses, each once a turn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urljoin

import httpx
import orjson

from gongfu.connect.http_pull.addressing import MISSING, find, leaves, split, time_of
from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.polling import Poller
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    Node,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.connect.kit.variables import nodes_of_variables
from gongfu.kernel.quality import Quality

_SHOWN = 5000


class HttpPullDriver:
    """Implements ``Driver``. Redirects are not followed: a machine's address is its address."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context: Context) -> None:
        options = context.options
        self._url = context.url
        self._rows: list[Mapping[str, Any]] = list(options.get("variables") or ())
        self._time = str(options.get("time", ""))
        self._most = int(options.get("max_bytes", 4 << 20))
        self._timing = context.timing
        timeout = float(options.get("timeout", 10.0))
        headers = {"Accept": "application/json"}
        if token := str(options.get("token", "")):
            headers["Authorization"] = f"Bearer {token}"
        user = str(options.get("username", ""))
        auth = httpx.BasicAuth(user, str(options.get("password", ""))) if user else None
        self._timeout = timeout
        self._client = httpx.AsyncClient(headers=headers, auth=auth, timeout=timeout, trust_env=False)
        self._poller: Poller | None = None
        self._requests = 0
        self._bytes = 0

    async def open(self) -> None:
        """Fetch the document once; the table of variables is checked first."""
        nodes_of_variables(self._rows, _type_of)
        split(self._time)
        await self._fetch("")

    async def close(self) -> None:
        """End."""
        await self._client.aclose()

    async def discover(self) -> list[Found]:
        """Return the URL when it answers."""
        await self._fetch("")
        return [Found(url=self._url, name=self._url)]

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return the table of variables; without one the leaves of the document."""
        if parent:
            return NodePage(items=[])
        if self._rows:
            nodes = nodes_of_variables(self._rows, _type_of)
        else:
            document = await self._fetch("")
            nodes = [
                Node(where=f"#{pointer}" if "#" in pointer else pointer, name=".".join(tokens), sample=value)
                for pointer, tokens, value in leaves(document, _SHOWN)
            ]
        start = int(cursor or 0)
        following = start + limit
        return NodePage(items=nodes[start:following], next=str(following) if following < len(nodes) else "")

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Fetch each document once. A place that is not there gives a bad reading."""
        groups: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for index, address in enumerate(addresses):
            name, tokens = split(address.where)
            groups.setdefault(name, []).append((index, tokens))
        readings: list[Reading] = []
        for name, wanted in groups.items():
            document = await self._fetch(name)
            time = time_of(find(document, split(self._time)[1])) if self._time else 0
            for index, tokens in wanted:
                value = find(document, tokens)
                if value is MISSING or value is None:
                    readings.append(Reading(index, None, Quality.BAD_NO_DATA, time))
                else:
                    readings.append(Reading(index, value, Quality.GOOD, time))
        return readings

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Poll from now on; each address is checked first."""
        for address in addresses:
            split(address.where)
        self._poller = Poller(list(addresses), self.read, sink, self._timing)

    async def wait(self) -> None:
        """Poll until it fails; without addresses there is nothing that could."""
        if self._poller is not None:
            await self._poller.run()
        while True:
            await self._timing.sleep(3600.0)

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Refuse."""
        raise DriverError(Reason.UNSUPPORTED, "documents are only read.", "Send to the machine another way.")

    async def health(self) -> Mapping[str, Any]:
        """Return requests, bytes, and turns that were left out."""
        figures: dict[str, Any] = {"requests": self._requests, "bytes": self._bytes}
        return figures if self._poller is None else {**figures, "overruns": self._poller.overruns}

    async def _fetch(self, name: str) -> Any:
        url = urljoin(self._url, name) if name else self._url
        self._requests += 1
        try:
            content = bytearray()
            async with self._client.stream("GET", url) as answer:
                self._check(answer.status_code, url)
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > self._most:
                        raise DriverError(
                            Reason.RANGE, f"{url}: the document is longer than {self._most} bytes.", "Raise max_bytes."
                        )
        except httpx.TimeoutException:
            raise DriverError(
                Reason.TIMEOUT,
                f"{url} did not answer within {self._timeout:g} s.",
                "Check the address, or wait longer.",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = Reason.CERTIFICATE_UNTRUSTED if "CERTIFICATE" in str(error) else Reason.UNREACHABLE
            advice = (
                "Let the server show a certificate that this machine trusts."
                if reason is Reason.CERTIFICATE_UNTRUSTED
                else "Check the address, the port, and the network between."
            )
            raise DriverError(reason, f"{url} cannot be reached: {error}.", advice) from None
        self._bytes += len(content)
        try:
            return orjson.loads(content)
        except ValueError:
            raise DriverError(
                Reason.PROTOCOL, f"{url} does not answer with JSON.", "Give the address of a JSON document."
            ) from None

    @staticmethod
    def _check(status: int, url: str) -> None:
        if status == 200:
            return
        if status in (401, 403):
            raise DriverError(
                Reason.CREDENTIALS, f"{url} answers {status}.", "Give username and password, or token, as secrets."
            )
        if 300 <= status < 400:
            raise DriverError(Reason.UNSUPPORTED, f"{url} answers {status}: it points elsewhere.", "Give that address.")
        if status == 404:
            raise DriverError(Reason.ADDRESS_UNKNOWN, f"{url} answers 404.", "Check the path.")
        reason = Reason.BUSY if status in (429, 503) else Reason.PROTOCOL
        raise DriverError(reason, f"{url} answers {status}.", "See the server's own log, or ask less often.")


def _type_of(where: str) -> str:
    split(where)
    return ""
