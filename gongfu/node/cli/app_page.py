"""The page that ``gongfu app run`` shows: the app's own page in its frame, its alarms and its log; on loopback only.

The app's page runs as it does in the console: in a sandboxed frame without any session, and asks the page around it.
"""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import NodeApi, segment

# A page of another site cannot send it without asking, and is not answered.
_MARK = "X-Gongfu-Run"
_BODY = 1 << 20

_PAGE = """<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>gongfu app run</title><link rel="icon" href="data:,"><style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 0; display: grid; grid-template-rows: auto 1fr auto; height: 100vh; }
header, footer { padding: 0.5rem 1rem; }
header { border-bottom: 1px solid #8884; display: flex; gap: 1.5rem; flex-wrap: wrap; }
iframe { border: 0; width: 100%; height: 100%; }
footer { border-top: 1px solid #8884; max-height: 30vh; overflow: auto; font-size: 0.9rem; }
.active { color: #c5221f; font-weight: 600; }
</style></head><body>
<header><strong id="name"></strong><span id="state"></span></header>
<iframe id="page" sandbox="allow-scripts" title="app"></iframe>
<footer><div id="alarms">没有报警 no alarms yet</div></footer>
<script>
"use strict";
const mark = { "X-Gongfu-Run": "1" };
const frame = document.getElementById("page");
const text = (id, value) => { document.getElementById(id).textContent = value; };
addEventListener("message", async (event) => {
  if (event.source !== frame.contentWindow || !event.data || event.data.type !== "gongfu.call") return;
  const { id, method, path, query, body } = event.data;
  const address = "/api" + path + "?" + new URLSearchParams(query || {});
  const has = method !== "GET" && method !== "DELETE";
  const answer = await fetch(address, { method, headers: mark, body: has ? body : undefined });
  frame.contentWindow.postMessage({ type: "gongfu.answer", id, status: answer.status,
    media_type: answer.headers.get("content-type") || "", body: await answer.text() }, "*");
});
let shown = "";
async function refresh() {
  try {
    const found = await (await fetch("/state", { headers: mark })).json();
    text("name", found.title);
    text("state", found.state);
    if (found.page && shown !== found.page + found.version) {
      shown = found.page + found.version;
      frame.src = found.page;
    }
    const list = document.getElementById("alarms");
    if (found.alarms.length) {
      list.replaceChildren(...found.alarms.map((alarm) => {
        const line = document.createElement("div");
        line.textContent = alarm.text;
        line.className = alarm.active ? "active" : "";
        return line;
      }));
    }
  } catch (error) {
    text("state", String(error));
  }
  setTimeout(refresh, 1000);
}
refresh();
</script></body></html>
"""


class AppPage:
    """Serves the page until ``close``.

    Args:
        api: the node.
        app: identifier.
        port: to listen on, 0 for any.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, api: NodeApi, app: str, port: int) -> None:
        self._api = api
        self._app = app
        page = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one request."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Answer GET."""
                page.answer(self, "GET")

            def do_POST(self) -> None:
                """Answer POST."""
                page.answer(self, "POST")

            def do_PUT(self) -> None:
                """Answer PUT."""
                page.answer(self, "PUT")

            def do_DELETE(self) -> None:
                """Answer DELETE."""
                page.answer(self, "DELETE")

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        self._hosts = {f"{name}:{self._server.server_port}" for name in ("127.0.0.1", "localhost")}
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, method: str) -> None:
        """Answer a request."""
        parts = urlsplit(request.path)
        length = min(int(request.headers.get("Content-Length") or 0), _BODY)
        body = request.rfile.read(length) if length else b""
        try:
            if request.headers.get("Host", "") not in self._hosts:
                _send(request, 421, "text/plain", b"only for this machine")
            elif parts.path == "/" and method == "GET":
                _send(request, 200, "text/html; charset=utf-8", _PAGE.encode())
            elif parts.path.startswith("/pages/") and method == "GET":
                self._page_file(request, parts.path.removeprefix("/pages/"))
            elif _MARK not in request.headers:
                _send(request, 403, "text/plain", b"only for the page itself")
            elif parts.path == "/state" and method == "GET":
                _send(request, 200, "application/json", json.dumps(self._state()).encode())
            elif parts.path.startswith("/api/"):
                query = dict(parse_qsl(parts.query))
                self._route(request, method, parts.path.removeprefix("/api/"), query, body)
            else:
                _send(request, 404, "text/plain", b"not found")
        except Failure as failure:
            _send(request, 502, "text/plain; charset=utf-8", str(failure).encode())
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                _send(request, 502, "text/plain; charset=utf-8", str(error).encode())

    def _page_file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        own = f"/apps/{segment(self._app)}/pages/"
        told = {"X-Forwarded-Proto": "http", "Host": request.headers["Host"]}
        status, headers, content = self._api.relay("GET", own + name, None, {}, told)
        policy = headers.get("content-security-policy", "sandbox allow-scripts").replace(f"/v1{own}", "/pages/")
        kind = headers.get("content-type", "text/plain")
        _send(request, status, kind, content, {"Content-Security-Policy": policy, "Access-Control-Allow-Origin": "*"})

    def _route(
        self, request: BaseHTTPRequestHandler, method: str, path: str, query: dict[str, str], body: bytes
    ) -> None:
        sent = body if method in ("POST", "PUT") else None
        told = {"Content-Type": "application/octet-stream"}
        address = f"/apps/{segment(self._app)}/api/{path}"
        status, headers, content = self._api.relay(method, address, sent, query, told)
        _send(request, status, headers.get("content-type", "text/plain"), content)

    def _state(self) -> dict[str, Any]:
        app = self._api.get(f"/apps/{segment(self._app)}")
        alarms = self._api.get("/alarms", limit=50)["items"]
        running = app["running"] or {"state": "unknown", "windows": 0, "error": "", "refusals": 0, "why": ""}
        told = [f"{running['state']}", f"{running['windows']} 窗口 windows"]
        if running["refusals"]:
            told.append(f"{running['refusals']} 次拒绝 refused")
        told += [text for text in (running["why"], running["error"], app["trouble"]) if text]
        pages = app["pages"]
        return {
            "title": f"{app['title']['zh']} {app['title']['en']} {app['version']}",
            "state": " · ".join(told),
            "version": app["version"],
            "page": f"/pages/{pages[0]['file']}" if pages else "",
            "alarms": [
                {"text": alarm_line(alarm), "active": str(alarm["state"]).endswith("active")} for alarm in alarms
            ],
        }


def alarm_line(alarm: dict[str, Any]) -> str:
    """Return an alarm in one line."""
    at, where = str(alarm["raised_at"])[11:19], alarm["asset_path"]
    return f"{at}  {alarm['priority']}  {where}: {alarm['message']}  ({alarm['state']})"


def _send(
    request: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.send_header("Cache-Control", "no-store")
    request.send_header("X-Content-Type-Options", "nosniff")
    request.end_headers()
    request.wfile.write(body)
