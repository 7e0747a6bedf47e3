"""The node's API for the command line: find it, sign in, call it, explain what goes wrong. Standard library only: an
HTTP package would triple the start of every command."""

import http.client
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote, urlencode, urlsplit

from gongfu.node.cli.failures import FAILED, NOT_FOUND, NOT_PERMITTED, UNREACHABLE, Failure
from gongfu.node.cli.options import local_configuration
from gongfu.node.data_directory import DataDirectory, lock_holder

TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 30.0
DOWNLOAD_TIMEOUT_S = 120.0
UPLOAD_TIMEOUT_S = 600.0
PATIENT_S = 3660.0
DOWNLOAD_PIECE = 1 << 18
PAGE = 500


@dataclass(frozen=True, slots=True)
class NodeApi:
    """A node's API, ``/v1``.

    Attributes:
        url: ``http(s)://host:port``.
        token: bearer token.
        local: the data directory when the node is of this machine.
        certificate: the node's own certificate, trusted whatever its name is.
    """

    url: str
    token: str
    local: DataDirectory | None = None
    certificate: str = ""

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer of GET."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: object, **query: Any) -> Any:
        """Return the JSON answer of POST."""
        return self.call("POST", path, body, query)

    def post_patiently(self, path: str, body: object) -> Any:
        """Return the JSON answer of a POST that may take an hour."""
        return self.call("POST", path, body, timeout=PATIENT_S)

    def items(self, address: str, limit: int | None = None, **query: Any) -> list[Any]:
        """Return all items of a list, page by page, or the first ``limit``."""
        found: list[Any] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            size = min(PAGE, limit - len(found)) if limit else PAGE
            page = self.call("GET", address, query={**query, "limit": size, "cursor": cursor})
            found.extend(page["items"])
            cursor = page.get("next")
            if not cursor:
                break
        return found

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT_S,
    ) -> Any:
        """Return the JSON answer of a call, None for an empty one.

        Raises:
            Failure: the node cannot be reached, or answers with a problem.
        """
        connection, response = self._request(method, path, body, query, timeout)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()
        if response.status >= 400:
            raise _problem(response.status, content, path)
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise Failure(f"{self.url} does not answer like a Gongfu node", "check --url", UNREACHABLE) from None

    def download(self, path: str, body: object, *, method: str = "POST") -> Iterator[bytes]:
        """Yield the pieces of a file that POST (or GET) answers with; one that ends early raises.

        Raises:
            Failure: as ``call``.
        """
        connection, response = self._request(method, path, body, None, DOWNLOAD_TIMEOUT_S)
        try:
            if response.status >= 400:
                raise _problem(response.status, response.read(), path)
            while piece := response.read(DOWNLOAD_PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def upload(
        self,
        path: str,
        body: IO[bytes],
        headers: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
    ) -> Iterator[bytes]:
        """Send a file, and yield the lines of the answer.

        Raises:
            Failure: as ``call``.
        """
        connection, response = self._request(method, path, body, query, UPLOAD_TIMEOUT_S, headers)
        try:
            if response.status >= 400:
                raise _problem(response.status, response.read(), path)
            while line := response.readline():
                yield line
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def events(self, path: str, **query: Any) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) of a server-sent event stream until it ends.

        Raises:
            Failure: as ``call``.
        """
        connection, response = self._request("GET", path, None, query, STREAM_TIMEOUT_S)
        try:
            if response.status >= 400:
                raise _problem(response.status, response.read(), path)
            name, data = "message", ""
            while line := response.readline():
                text = line.decode().rstrip("\r\n")
                if text.startswith("event:"):
                    name = text[6:].strip()
                elif text.startswith("data:"):
                    data += text[5:].removeprefix(" ")
                elif not text:
                    if data:
                        yield name, json.loads(data)
                    name, data = "message", ""
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def relay(
        self, method: str, path: str, body: bytes | None, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on as it is; return status, headers by name in lower case, and content.

        Raises:
            Failure: the node cannot be reached.
        """
        connection, base = self._connection(TIMEOUT_S)
        target = f"{base}/v1{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(method, target, body, {"Authorization": f"Bearer {self.token}", **headers})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        """Return a connection that is not open yet, and what the paths begin with."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls()), parts.path.rstrip("/")
        return http.client.HTTPConnection(host, port, timeout=timeout), parts.path.rstrip("/")

    def _request(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, Any] | None,
        timeout: float,
        further: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection, base = self._connection(timeout)
        given = {k: v for k, v in (query or {}).items() if v is not None}
        target = f"{base}/v1{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {self.token}"}
        content: bytes | IO[bytes] | None = None
        if further is not None:
            content = cast(IO[bytes], body)
            headers |= {**further, "Content-Length": str(os.fstat(content.fileno()).st_size)}
        elif body is not None:
            lines = isinstance(body, bytes)
            content = body if lines else json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
        try:
            connection.request(method, target, content, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None

    def _tls(self) -> ssl.SSLContext:
        if not self.certificate:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False  # the very certificate is pinned
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _unreachable(self, error: Exception) -> Failure:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        remedy = "check --url, or whether the node runs: `gongfu status`"
        if self.local is not None:
            holder = lock_holder(self.local)
            remedy = (
                f"start it with `gongfu up --data-dir {self.local.root}`"
                if holder is None
                else f"process {holder.get('pid')} runs; its logs are in {self.local.log}"
            )
        return Failure(f"the node at {self.url} cannot be reached: {reason}", remedy, UNREACHABLE, "unreachable")


def connect(url: str | None, token: str | None, config: Path | None, data_dir: Path | None) -> NodeApi:
    """Return the API of the node that the options name: ``url`` and ``token``, else the node of the data directory.

    Raises:
        Failure: there is no such node or no token for it.
    """
    if url:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise Failure(f"{url!r} is not an http(s) address", "write it as http://host:8080", code="usage", status=2)
        if not token:
            remedy = "give --token or set GONGFU_TOKEN"
            raise Failure(f"no token for {url}", remedy, NOT_PERMITTED, "unauthenticated")
        return NodeApi(url.rstrip("/"), token)
    configuration = local_configuration(config, data_dir)
    directory = DataDirectory(configuration.data_dir)
    host: str = configuration.web.host
    port: int = configuration.web.port
    certificate: str = configuration.web.tls_certificate
    tls = bool(certificate)
    if running := running_state(directory):
        web = running.get("web", {})
        host, port, tls = web.get("host", host), web.get("port", port), web.get("tls", tls)
        certificate = web.get("certificate", certificate)
    own_token = token
    if not own_token:
        try:
            own_token = directory.cli_token.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            remedy = "start it with `gongfu up`, or name another with --data-dir or --url"
            raise Failure(
                f"there is no node in the data directory {directory.root}", remedy, UNREACHABLE, "no-node"
            ) from None
        except OSError as error:
            remedy = "run as the user of the node, or give --url and --token"
            raise Failure(
                f"{directory.cli_token}: {error.strerror}", remedy, NOT_PERMITTED, "unauthenticated"
            ) from None
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (only compared)
    host = every.get(host, host)
    netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return NodeApi(f"{'https' if tls else 'http'}://{netloc}", own_token, directory, certificate if tls else "")


def running_state(directory: DataDirectory) -> dict[str, Any] | None:
    """Return what the supervisor of a data directory tells about its roles, or None when none runs."""
    if lock_holder(directory) is None:
        return None
    try:
        return dict(json.loads(directory.state.read_bytes()))
    except (OSError, ValueError):
        return None


def segment(text: object) -> str:
    """Return a path segment."""
    return quote(str(text), safe="")


def reason_text(code: str, detail: str) -> str:
    """Return a refusal of the tree for people: its reason code first, which the documentation explains."""
    return f"{code}: {detail}" if detail else code


def _problem(status: int, content: bytes, path: str) -> Failure:
    try:
        document = dict(json.loads(content))
    except ValueError:
        document = {}
    title = str(document.get("detail") or document.get("title") or f"status {status}")
    code = str(document.get("code", "failed"))
    if path.startswith("/tree") and status in (403, 409) and code not in ("forbidden", "conflict"):
        title = reason_text(code, str(document.get("detail", "")))
    if code == "machine-failed":
        return Failure(str(document.get("what", title)), str(document.get("advice", "")), FAILED, code)
    remedies = {
        401: ("the token is not accepted; restart the node to renew secrets/cli-token, or give --token", NOT_PERMITTED),
        403: ("the user of this token may not do that" if code == "forbidden" else "", NOT_PERMITTED),
        404: ("", NOT_FOUND),
        503: ("the node is busy or a role is down: `gongfu status`", FAILED),
    }
    remedy, exit_status = remedies.get(status, ("", FAILED))
    if status >= 500 and status != 503:
        remedy = f"the node failed at {path}: see log/web.log in its data directory"
    return Failure(title, remedy, exit_status, code)
