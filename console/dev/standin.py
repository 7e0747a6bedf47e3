"""Stand-in for the node's REST API, for work on the console alone. Development only; never shipped.

Run: ``python console/dev/standin.py [port]`` and open the printed address: user admin, password admin (must change
the first time) or user eng, password eng. It also serves the built console with a strict content security policy.
"""

import json
import mimetypes
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import answers

STATIC = Path(__file__).resolve().parents[2] / "gongfu/web/static"
CSP = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, status: int, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        for key, value in (extra or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _user(self) -> str | None:
        for part in self.headers.get("Cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == "gongfu_session" and value in answers.USERS:
                return value
        return None

    def _api(self, method: str) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw else {}
        path = unquote(url.path[3:])
        user = self._user()
        extra = {}
        if path == "/session" and method == "POST":
            found = answers.USERS.get(body.get("username", ""))
            if found is None or found["password"] != body.get("password"):
                return self._problem(401, "unauthenticated", "Sign-in needed", "User name or password is wrong")
            extra["Set-Cookie"] = f"gongfu_session={body['username']}; Path=/; HttpOnly; SameSite=Strict"
            return self._json(200, answers.session(body["username"]), extra)
        if user is None:
            return self._problem(401, "unauthenticated", "Sign-in needed", "")
        if path == "/stream":
            return self._stream(query)
        try:
            status, document = answers.answer(method, path, query, body, user)
        except answers.Refusal as refusal:
            return self._problem(refusal.status, refusal.code, refusal.code, refusal.detail)
        if path == "/session" and method == "DELETE":
            extra["Set-Cookie"] = "gongfu_session=; Path=/; Max-Age=0"
        return self._json(status, document, extra)

    def _json(self, status: int, document: object, extra: dict[str, str] | None = None) -> None:
        self._send(status, b"" if status == 204 else json.dumps(document).encode(), "application/json", extra)

    def _problem(self, status: int, code: str, title: str, detail: str) -> None:
        body = {"type": f"/problems/{code}", "title": title, "status": status, "code": code, "detail": detail}
        self._send(status, json.dumps(body).encode(), "application/problem+json")

    def _stream(self, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        series = [int(s) for s in query.get("series", "").split(",") if s]
        seen = answers.alarm_clock()
        try:
            while True:
                document = answers.overview()
                document.pop("history")
                self._event("overview", document)
                for alarm in answers.alarms_since(seen):
                    self._event("alarm", alarm)
                seen = answers.alarm_clock()
                for _ in range(2):
                    latest = [got for s in series if (got := answers.PLANT.latest(s))]
                    if latest:
                        self._event("latest", latest)
                    time.sleep(0.5)
        except OSError:
            self.close_connection = True

    def _event(self, name: str, document: object) -> None:
        self.wfile.write(f"event: {name}\ndata: {json.dumps(document)}\n\n".encode())
        self.wfile.flush()

    def _any(self, method: str) -> None:
        if self.path.startswith("/v1/"):
            return self._api(method)
        name = unquote(urlsplit(self.path).path)
        file = (STATIC / name.lstrip("/")).resolve()
        if not file.is_file() or STATIC not in file.parents:
            file = STATIC / "index.html"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return self._send(200, file.read_bytes(), kind)

    def do_GET(self) -> None:
        self._any("GET")

    def do_POST(self) -> None:
        self._any("POST")

    def do_PATCH(self) -> None:
        self._any("PATCH")

    def do_PUT(self) -> None:
        self._any("PUT")

    def do_DELETE(self) -> None:
        self._any("DELETE")


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8642
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
