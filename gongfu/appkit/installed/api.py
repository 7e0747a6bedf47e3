"""HTTP of installed apps: ``/v1/apps``, their routes below ``/api/``, their pages below ``/pages/``."""

import asyncio
import mimetypes
import re
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec

from gongfu.appkit.host.status import AppStatus
from gongfu.appkit.installed.service import InstalledApps
from gongfu.appkit.installed.types import AllowKey, AppAsk, AppDocument, Inspected, RouteAnswer, RouteCall
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Action
from gongfu.rest.routing import Call, Incoming, Raw, Route

MAX_ROUTE_BODY = 1 << 20
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}(; ?charset=[\w-]{1,20})?", re.ASCII)
# Pages run without the user's session: a frame of an origin of its own, which may load what is beside it, and ask the
# console around it for the routes of the app (console/src/pages/apps).
PAGE_HEADERS = {
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; script-src {root}; style-src {root} "
    "'unsafe-inline'; img-src {root} data:; font-src {root}; connect-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self' http://127.0.0.1:*",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
}
BRIDGE = "gongfu.js"
BRIDGE_SCRIPT = """// What a page of an app has of the node: its own app's routes, through the console around it.
"use strict";
const gongfu = (() => {
  const waiting = new Map();
  let last = 0;
  addEventListener("message", (event) => {
    if (event.source !== parent || !event.data || event.data.type !== "gongfu.answer") return;
    const { id, status, media_type: kind, body } = event.data;
    const settle = waiting.get(id);
    if (!settle) return;
    waiting.delete(id);
    if (status >= 400) settle[1](new Error(body || `status ${status}`));
    else settle[0](String(kind).startsWith("application/json") ? JSON.parse(body) : body);
  });
  return {
    call(method, path, query = {}, body = "") {
      return new Promise((resolve, reject) => {
        const id = ++last;
        waiting.set(id, [resolve, reject]);
        const text = typeof body === "string" ? body : JSON.stringify(body);
        parent.postMessage({ type: "gongfu.call", id, method, path, query, body: text }, "*");
      });
    },
  };
})();
"""


class AppPage(msgspec.Struct, frozen=True):
    """All apps of the tenant."""

    items: list[AppDocument]
    next: str | None = None


class LogDocument(msgspec.Struct, frozen=True):
    """The last lines of the log of an app, oldest first."""

    lines: list[str]


# Ask the role ``apps``; empty while it does not answer.
StatusOf = Callable[[AppAsk], Awaitable[dict[str, AppStatus]]]
LinesOf = Callable[[AppAsk], Awaitable[list[str]]]
CallRoute = Callable[[RouteCall], Awaitable[RouteAnswer]]


def routes(apps: InstalledApps, status_of: StatusOf, lines_of: LinesOf, call_route: CallRoute) -> list[Route]:
    """Return the routes."""

    async def page(call: Call) -> AppPage:
        found = await asyncio.to_thread(apps.all, call.subject)
        running = await status_of(AppAsk(call.subject.tenant))
        return await asyncio.to_thread(lambda: AppPage([apps.document(app, running.get(app.app)) for app in found]))

    async def one(call: Call) -> AppDocument:
        app = await asyncio.to_thread(apps.get, call.subject, call.path["app"])
        running = await status_of(AppAsk(call.subject.tenant, app.app))
        return await asyncio.to_thread(apps.document, app, running.get(app.app))

    async def inspect(call: Call) -> Inspected:
        return await apps.inspect(call.subject, call.body.chunks)

    async def install(call: Call) -> AppDocument:
        if call.query.get("grant", "all") != "all":
            raise invalid("grant is 'all' (but what ?without names), or left out: then what asks for more waits")
        app = await apps.install(
            call.subject,
            call.body.chunks,
            consent="grant" in call.query,
            without=_names(call.query["without"]) if "without" in call.query else None,
            allow_unsigned=call.query.get("unsigned") == "true",
            sha256=call.query.get("sha256", ""),
        )
        running = await status_of(AppAsk(call.subject.tenant, app.app))
        return await asyncio.to_thread(apps.document, app, running.get(app.app))

    def change(verb: str) -> Callable[[Call], Awaitable[AppDocument]]:
        async def answer(call: Call) -> AppDocument:
            await apps.change(call.subject, call.path["app"], verb)
            return await one(call)

        return answer

    async def grant(call: Call) -> AppDocument:
        await apps.grant(call.subject, call.path["app"], _names(call.query.get("without", "")))
        return await one(call)

    async def allow_key(call: Call) -> None:
        await apps.allow_key(call.subject, call.path["app"], call.body.reason)

    async def end_key(call: Call) -> None:
        await apps.allow_key(call.subject, call.path["app"], "")

    async def remove(call: Call) -> None:
        await apps.change(call.subject, call.path["app"], "remove")

    async def log(call: Call) -> LogDocument:
        await asyncio.to_thread(apps.get, call.subject, call.path["app"])
        lines = call.query.get("lines", "200")
        if not lines.isascii() or not lines.isdigit():
            raise invalid("lines must be a number")
        return LogDocument(await lines_of(AppAsk(call.subject.tenant, call.path["app"], min(int(lines[:6]), 500))))

    async def export(call: Call) -> Raw:
        path = await asyncio.to_thread(apps.records_file, call.subject, call.path["app"])
        return Raw(await asyncio.to_thread(_copy, path), "application/vnd.sqlite3")

    def routed(method: str) -> Callable[[Call], Awaitable[Raw]]:
        async def answer(call: Call) -> Raw:
            app = await asyncio.to_thread(apps.get, call.subject, call.path["app"])
            body = bytes(call.body or b"")
            if len(body) > MAX_ROUTE_BODY:
                raise invalid(f"the body has more than {MAX_ROUTE_BODY} bytes")
            asked = RouteCall(
                app=app.app,
                tenant=call.subject.tenant,
                method=method,
                parts=[part for part in call.path["rest"].split("/") if part],
                query=dict(call.query),
                body=body,
                user=call.subject.name,
                role=str(call.subject.role),
            )
            found = await call_route(asked)
            status = found.status or 200
            kind = found.media_type if _MEDIA_TYPE.fullmatch(found.media_type) else "application/octet-stream"
            # 401 is about the session of the user, which an app has no part in: the console would sign the user out.
            if not 200 <= status < 600 or status == 401:
                raise Problem(502, "app-failed", "The app answered wrongly", f"status {status}")
            return Raw(found.body, kind, ROUTE_HEADERS, status)

        return answer

    async def file(call: Call) -> Raw:
        name = call.path["rest"]
        if name == BRIDGE:
            return _page_file(call, BRIDGE, BRIDGE_SCRIPT.encode())
        return _page_file(call, name, await asyncio.to_thread(apps.page_file, call.path["app"], name))

    app, api = "/apps/{app}", "/apps/{app}/api/{rest+}"
    return [
        Route("GET", "/apps", Action.READ, page, "Installed apps", response=AppPage),
        Route("POST", "/apps:inspect", Action.APP_INSTALL, inspect, "Look at a package (the body): what it asks for",
              Incoming, Inspected),
        Route("POST", "/apps:install", Action.APP_INSTALL, install, "Install a package (the body) or upgrade to it: "
              "?grant=all after looking at what it asks for, ?without=names that are refused, ?sha256 of what was "
              "looked at, ?unsigned=true", Incoming, AppDocument, 201),
        Route("GET", app, Action.READ, one, "An installed app", response=AppDocument),
        Route("DELETE", app, Action.APP_INSTALL, remove, "Remove an app and everything that is its own", status=204),
        Route("POST", f"{app}:rollback", Action.APP_INSTALL, change("rollback"), "Go back to the version before",
              response=AppDocument),
        Route("POST", f"{app}:enable", Action.APP_INSTALL, change("enable"), "Let an app run", response=AppDocument),
        Route("POST", f"{app}:disable", Action.APP_INSTALL, change("disable"), "Stop an app", response=AppDocument),
        Route("POST", f"{app}:grant", Action.APP_INSTALL, grant, "Grant all an app asks for but the optional "
              "things named by ?without", response=AppDocument),
        Route("PUT", f"{app}/key-override", Action.APP_REVIEW, allow_key, "Let an app run although its publisher's key "
              "was revoked, with a reason", AllowKey, None, 204),
        Route("DELETE", f"{app}/key-override", Action.APP_REVIEW, end_key, "Let that be no longer", None, None, 204),
        Route("GET", f"{app}/log", Action.READ, log, "Last lines of the log of an app (?lines)", response=LogDocument),
        Route("GET", f"{app}/records", Action.APP_INSTALL, export, "The records of an app, an SQLite file"),
        Route("GET", api, Action.READ, routed("GET"), "A route of an app"),
        Route("POST", api, Action.READ, routed("POST"), "A route of an app", bytes),
        Route("PUT", api, Action.READ, routed("PUT"), "A route of an app", bytes),
        Route("DELETE", api, Action.READ, routed("DELETE"), "A route of an app"),
        Route("GET", "/apps/{app}/pages/{rest+}", None, file, "A file of the pages of an app: code, no data"),
    ]  # fmt: skip


def _names(text: str) -> list[str]:
    return [name.strip() for name in text[:10_000].split(",") if name.strip()]


# What an app answers is data of the app: a browser must not take it for a page of the node.
ROUTE_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def _page_file(call: Call, name: str, content: bytes) -> Raw:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind in ("application/javascript", "text/javascript"):
        kind += "; charset=utf-8"
    app = call.path["app"]
    host = call.headers.get("host", "")
    if not host or any(c in host for c in " ;,'\"\r\n"):
        raise not_found("page")
    scheme = call.headers.get("x-forwarded-proto", "")
    schemes = [scheme] if scheme in ("http", "https") else ["http", "https"]
    root = " ".join(f"{one}://{host}/v1/apps/{app}/pages/" for one in schemes)
    headers = {key: value.replace("{root}", root) for key, value in PAGE_HEADERS.items()}
    return Raw(content, kind, headers)


def _copy(path: Path) -> bytes:
    """Return a copy of an SQLite file as of one moment while another process writes it."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "records.sqlite"
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        return target.read_bytes()
