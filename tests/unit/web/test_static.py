import gzip
from pathlib import Path

import httpx
import pytest

from gongfu.web.app import create_app
from gongfu.web.static import console_routes


@pytest.fixture
def built(tmp_path: Path) -> Path:
    root = tmp_path / "static"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<title>console</title>")
    (root / "favicon.svg").write_text("<svg/>")
    script = root / "assets" / "index-DiwrgTda.js"
    script.write_text("let a = 1")
    script.with_name(script.name + ".gz").write_bytes(gzip.compress(b"let a = 1"))
    (tmp_path / "secret.txt").write_text("outside")
    return root


def client(root: Path) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app([], lambda _: None, further=console_routes(root)))
    return httpx.AsyncClient(transport=transport, base_url="http://node", headers={"accept-encoding": "identity"})


async def test_hashed_files_are_kept_for_ever_and_pages_are_asked_for(built: Path) -> None:
    async with client(built) as opened:
        script = await opened.get("/assets/index-DiwrgTda.js")
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.text == "let a = 1"
        packed = await opened.get("/assets/index-DiwrgTda.js", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["content-type"].startswith("text/javascript")
        assert packed.text == "let a = 1"
        for path in ("/", "/index.html", "/devices/5", "/favicon.svg"):
            assert (await opened.get(path)).headers["cache-control"] == "no-cache"


async def test_pages_of_the_console_are_its_index(built: Path) -> None:
    async with client(built) as opened:
        for path in ("/", "/devices", "/trend/12", "/v1x", "/assets"):
            answer = await opened.get(path)
            assert (answer.status_code, answer.text) == (200, "<title>console</title>")
        for path in ("/missing.js", "/assets/missing-12345678.css", "/v1", "/v1/nothing", "/v1/a.b"):
            answer = await opened.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        # A page whose last name is an id with dots, as a browser asks for it.
        page = await opened.get("/apps/com.example.pump", headers={"accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.text) == (200, "<title>console</title>")


async def test_unchanged_file_is_not_sent_again(built: Path) -> None:
    async with client(built) as opened:
        first = await opened.get("/")
        again = await opened.get("/", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


OUTSIDE = ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "//etc/passwd")


@pytest.mark.parametrize("path", [*OUTSIDE, "/%00"])
async def test_nothing_outside_is_served(built: Path, path: str) -> None:
    async with client(built) as opened:
        answer = await opened.get(path)
        assert "outside" not in answer.text
        assert "root:" not in answer.text
        assert answer.status_code in (200, 404)


async def test_link_to_the_outside_is_not_followed(built: Path) -> None:
    (built / "link.txt").symlink_to(built.parent / "secret.txt")
    async with client(built) as opened:
        assert (await opened.get("/link.txt")).status_code == 404


async def test_console_that_is_not_built_says_so(tmp_path: Path) -> None:
    async with client(tmp_path / "absent") as opened:
        answer = await opened.get("/devices")
        assert answer.status_code == 200
        assert "make console" in answer.text
