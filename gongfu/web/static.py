"""The console: built files from ``gongfu/web/static``, and ``index.html`` for every page of it."""

import asyncio
import mimetypes
import re
from pathlib import Path

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from gongfu.kernel.errors import not_found
from gongfu.web.answers import accepts_gzip, bytes_response

DIRECTORY = Path(__file__).parent / "static"

# Vite puts a hash of the content into these names, so the content of a name never changes.
_HASHED = re.compile(r"^assets(-static)?/.+[-.][A-Za-z0-9_-]{8,}\.\w+$")
_FOREVER = "public, max-age=31536000, immutable"
# index.html and the like: ask each time, answered by 304 when unchanged.
_CHECK = "no-cache"

_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Gongfu</title></head><body>
<h1>Gongfu · 工赋</h1>
<p>The node runs, but this installation has no built console.</p>
<p>To build it from a source checkout: <code>make console</code>, then reload this page.</p>
<p>The API is at <a href="/v1/openapi.json">/v1/openapi.json</a>; the command line is <code>gongfu --help</code>.</p>
<p lang="zh">节点正在运行，但此安装没有构建好的控制台。请在源码目录执行 <code>make console</code>，然后刷新本页。</p>
</body></html>
"""


class _ConsolePath(PathConvertor):
    # Everything but the API, so that an unknown operation is a problem document and not a page.
    regex = "(?!v1(?:/|$)).*"


register_url_convertor("console", _ConsolePath())


def console_routes(directory: Path = DIRECTORY) -> list[BaseRoute]:
    """Return the routes of the console; ``directory`` holds what the console's build wrote."""
    root = directory.resolve()

    async def serve(request: Request) -> Response:
        name = request.path_params["path"]
        path = await asyncio.to_thread(_find, root, name)
        if path is None:
            # What has a dot in its last name is a file that is missing, unless a browser goes there as to a page: ids
            # of apps and models have dots.
            if "." in name.rpartition("/")[2] and "text/html" not in request.headers.get("accept", ""):
                raise not_found(name[:200])
            path = await asyncio.to_thread(_find, root, "index.html")
            if path is None:
                return await bytes_response(request, _NOT_BUILT.encode(), "text/html; charset=utf-8")
            name = "index.html"
        return _file(request, path, name)

    return [Route("/{path:console}", serve, methods=["GET"])]


def _find(root: Path, name: str) -> Path | None:
    """Return the file of a name inside the root, None when there is none."""
    if not name or "\0" in name:
        return None
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def _file(request: Request, path: Path, name: str) -> Response:
    headers = {"cache-control": _FOREVER if _HASHED.match(name) else _CHECK}
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    compressed = path.with_name(path.name + ".gz")
    if compressed.is_file():
        headers["vary"] = "accept-encoding"
        if accepts_gzip(request):
            headers["content-encoding"] = "gzip"
            path = compressed
    response = FileResponse(path, headers=headers, media_type=media_type, stat_result=path.stat())
    if request.headers.get("if-none-match") == response.headers["etag"]:
        kept = {key: response.headers[key] for key in ("etag", "cache-control")}
        return Response(status_code=304, headers=kept)
    return response
