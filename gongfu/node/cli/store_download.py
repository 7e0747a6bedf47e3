"""Fetch a package from a store, this node's or another's: goes on where it was cut off, and takes only what was asked
for, by its SHA-256. Standard library only."""

import hashlib
import http.client
import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gongfu.node.cli.failures import FAILED, NOT_FOUND, NOT_PERMITTED, UNREACHABLE, Failure
from gongfu.node.cli.node_api import NodeApi, segment

_TIMEOUT_S = 60.0
_PIECE = 1 << 18
_ATTEMPTS = 5
MOST_BYTES = 64 << 20
PREFIX = "store:"


@contextmanager
def package_file(
    api: NodeApi, package: str, store_url: str | None, store_token: str
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give the file of a package, and what is to be called when it is installed: the store then counts it.

    Args:
        api: the node that installs it.
        package: a file, or ``store:<id>[@<version>]``.
        store_url: node whose store has it; default: the same node.
        store_token: of that node.

    Raises:
        Failure: there is no such file or published version.
    """
    if not package.startswith(PREFIX):
        path = Path(package)
        if not path.is_file():
            raise Failure(f"there is no file {package}", "give a file, or store:ID[@VERSION]", 2, "usage")
        yield path, lambda: None
        return
    store = NodeApi(store_url.rstrip("/"), store_token) if store_url else api
    with tempfile.TemporaryDirectory(prefix="gongfu-store-") as folder:
        path, identifier, version = package_of_store(store, package, Path(folder))

        def note() -> None:
            try:
                node = str(api.get("/tree/node").get("id") or "") if store_url else ""
                # A node that is in no tree has no name at another's store.
                if node or not store_url:
                    body = {"version": version, "node": node}
                    store.post(f"/store/apps/{segment(identifier)}/installations", body)
            except Failure as failure:
                print(f"it is installed; the store did not count it: {failure}", file=sys.stderr)

        yield path, note


def package_of_store(api: NodeApi, spec: str, folder: Path) -> tuple[Path, str, str]:
    """Return the file of a package named ``store:<id>[@<version>]``, with identifier and version.

    Args:
        api: the node whose store has it.
        spec: what is wanted; the version that is shown by default.
        folder: where it is kept.

    Raises:
        Failure: the store has no such published version.
    """
    identifier, _, version = spec.removeprefix(PREFIX).partition("@")
    found = api.get(f"/store/apps/{segment(identifier)}")
    wanted = version or found["version"]
    for item in found["versions"]:
        if item["version"] == wanted and item["state"] == "published":
            return fetch_package(api.url, api.token, item["sha256"], folder, api.certificate), identifier, wanted
    raise Failure(f"the store has no published {identifier} {wanted}".rstrip(), "", NOT_FOUND, "not-found")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is for the node that was named, not for where it points to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> None:
        """Follow nothing: the answer becomes an error with its status."""
        return


def fetch_package(url: str, token: str, sha256: str, folder: Path, certificate: str = "") -> Path:
    """Return the file of a package, below a folder where what was begun is kept.

    Args:
        url: of the node, ``http(s)://host:port``.
        token: bearer token.
        sha256: of the package.
        folder: where it is kept under its SHA-256.
        certificate: file of a certificate that is trusted besides those of the system.

    Raises:
        Failure: the node does not answer, does not have it, or what came is something else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole, part = folder / f"{sha256}.gfapp", folder / f"{sha256}.part"
    if whole.exists() and _digest(whole) == sha256:
        return whole
    part.touch()
    idle, trouble = 0, ""
    while True:
        have = part.stat().st_size
        size, told = _more(url, token, sha256, part, have, certificate)
        now = part.stat().st_size
        if size is not None and now >= size:
            break
        # It may come in any number of parts; those that bring nothing are counted.
        idle, trouble = (0, "") if now > have else (idle + 1, told or trouble)
        if idle >= _ATTEMPTS:
            raise Failure(f"{url}: the package did not come whole: {trouble}", "try again: it goes on", UNREACHABLE)
    if _digest(part) != sha256:
        part.unlink()
        raise Failure(f"{url} sent another file than {sha256}", "do not use this store", FAILED, "package-refused")
    part.replace(whole)
    return whole


def _more(url: str, token: str, sha256: str, part: Path, have: int, certificate: str) -> tuple[int | None, str]:
    """Append what a node sends from byte ``have`` on; return the size of the whole, None while it is not known."""
    headers = {"Authorization": f"Bearer {token}", "Range": f"bytes={have}-"}
    request = urllib.request.Request(f"{url}/v1/store/packages/{sha256}", headers=headers)  # noqa: S310 (checked by connect)
    context = ssl.create_default_context(cafile=certificate or None) if url.startswith("https") else None
    try:
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            size = _size(answer, have)
            if size > MOST_BYTES:
                raise Failure(f"{url}: the package has {size} bytes, at most {MOST_BYTES} are taken", "", FAILED)
            with part.open("r+b") as file:
                file.seek(have if answer.status == 206 else 0)
                while piece := answer.read(_PIECE):
                    file.write(piece)
                    if file.tell() > size:
                        raise Failure(f"{url} sends more than it says", "do not use this store", FAILED)
            return size, ""
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            # What was begun is longer than the package: begin anew.
            os.truncate(part, 0)
            return None, "it was begun with something else"
        if error.code == 404:
            raise Failure(f"{url} has no package {sha256}", "", NOT_FOUND, "not-found") from None
        if error.code in (401, 403):
            raise Failure(f"{url} does not give the package out to this token", "", NOT_PERMITTED) from None
        return None, f"status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return None, str(error)


def _size(answer: http.client.HTTPResponse, have: int) -> int:
    if answer.status == 206:
        text = (answer.headers.get("Content-Range") or "").rpartition("/")[2]
        begin = (answer.headers.get("Content-Range") or "").partition(" ")[2].partition("-")[0]
        if text.isdigit() and begin == str(have):
            return int(text)
        raise http.client.HTTPException("an answer with another range")
    text = answer.headers.get("Content-Length") or ""
    if not text.isdigit():
        raise http.client.HTTPException("an answer without its length")
    return int(text)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
