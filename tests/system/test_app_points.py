"""An app on a node that runs: points of every type there and back, and a permission that is refused and given later."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

APP = "test.points"
BIG = 2**53 + 1
MANIFEST = f"""\
[app]
id = "{APP}"
version = "VERSION"
title = {{ zh = "型", en = "Points" }}
contract = "1.1"
[needs]
routes = true
[[needs.points]]
point = "out *"
access = "write"
[[needs.points]]
point = "out *"
history = "1d"
name = "reading"
optional = true
reason = {{ zh = "核对写入的数据", en = "Compares what was written" }}
"""
CODE = f"""\
from gongfu.appkit.contract import App, Context, Request

app = App()
VALUES = {{
    "double": [1.5, None],
    "int64": [{BIG}, -{BIG}],
    "boolean": [True, False],
    "string": ["自动", ""],
    "json": ['{{"a": [1]}}', None],
}}


@app.route("POST", "/write")
def write(context: Context, request: Request) -> object:
    now = context.now()
    times = [now - 2_000_000_000, now - 1_000_000_000]
    for name, values in VALUES.items():
        context.write("machine 1", f"out {{name}}", times, values, type=name)
    return times


@app.route("GET", "/read")
def read(context: Context, request: Request) -> object:
    found = {{"granted": context.granted("reading")}}
    start = int(request.query["from"])
    for one in context.points(point="out *"):
        latest = context.latest(one.asset, one.point)
        history = context.history(one.asset, one.point, start, start + 10_000_000_000)
        found[one.point] = [
            (one.value_type, str(part.values.dtype), [repr(v) for v in part.values.tolist()], part.qualities.tolist())
            for part in (history, latest)
        ]
    return found
"""
EXPECTED = {
    "double": ("float64", ["1.5", "nan"], [0, 0x84]),
    "int64": ("int64", [str(BIG), str(-BIG)], [0, 0]),
    "boolean": ("bool", ["True", "False"], [0, 0]),
    "string": ("object", ["'自动'", "''"], [0, 0]),
    "json": ("object", ["""'{"a": [1]}'""", "'null'"], [0, 0x84]),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("points-node") / "data").start()
    yield made
    made.kill()


def packed(folder: Path, version: str, more: str = "") -> Path:
    source = folder / version
    source.mkdir()
    (source / "app.toml").write_text(MANIFEST.replace("VERSION", version) + more)
    (source / "app.py").write_text(CODE)
    package = folder / f"{version}.gfapp"
    content = read_source(source)
    package.write_bytes(pack(content, origin_of(source, content), None))
    return package


def call(node: Node, method: str, path: str, body: bytes | None = None) -> Any:
    request = Request(f"{node.url}/v1{path}", body, {"Authorization": f"Bearer {node.token}"}, method=method)
    with urlopen(request, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


def test_points_of_every_type_and_a_refusal_on_a_node(node: Node, tmp_path: Path) -> None:
    node.cli("device", "add", "machine-1", "--asset", "machine 1")
    first = packed(tmp_path, "1.0.0")
    with pytest.raises(HTTPError) as waits:
        call(node, "POST", "/apps:install?unsigned=true", first.read_bytes())
    assert waits.value.code == 403
    assert "out *" in json.loads(waits.value.read())["detail"]
    told = node.cli("app", "install", str(first), "--unsigned", "--grant-all", "--without", "reading")
    assert "Compares what was written" in told
    assert "REFUSED" in told
    document = call(node, "GET", f"/apps/{APP}")
    assert [(one["name"], one["granted"]) for one in document["permissions"] if one["optional"]] == [("reading", False)]

    def running() -> bool:
        state = call(node, "GET", f"/apps/{APP}")["running"]
        return bool(state) and state["state"] == "running"

    wait_until(running, "the app runs", 120.0)
    times = call(node, "POST", f"/apps/{APP}/api/write", b"")
    with pytest.raises(HTTPError) as refused:
        call(node, "GET", f"/apps/{APP}/api/read?from={times[0]}")
    assert "the optional permission 'reading' was refused" in refused.value.read().decode()
    assert "'reading' was refused" in node.cli("app", "status", APP)

    # An upgrade that asks for nothing more needs nobody and refuses what was refused; then it is given.
    call(node, "POST", "/apps:install?unsigned=true", packed(tmp_path, "1.1.0").read_bytes())
    more = packed(tmp_path, "1.2.0", '[[needs.points]]\npoint = "secret"\n')
    with pytest.raises(HTTPError) as waits:
        call(node, "POST", "/apps:install?unsigned=true", more.read_bytes())
    assert (waits.value.code, "secret" in waits.value.read().decode()) == (403, True)
    assert call(node, "GET", f"/apps/{APP}")["version"] == "1.1.0"
    node.cli("app", "grant", APP)
    wait_until(running, "the app runs again", 120.0)

    def read() -> dict[str, Any] | None:
        try:
            found = call(node, "GET", f"/apps/{APP}/api/read?from={times[0]}")
        except HTTPError:
            return None  # the history is not there yet
        # What was written is in the log; history and latest values take it from there.
        whole = all(len(found.get(f"out {name}", [[0, 0, []]])[0][2]) == 2 for name in EXPECTED)
        late = all(found[f"out {name}"][1][2] for name in EXPECTED) if whole else False
        return found if late else None

    found = wait_until(read, "history and latest values", 120.0)
    assert found is not None
    assert found.pop("granted") is True
    for name, (dtype, values, qualities) in EXPECTED.items():
        history, latest = found[f"out {name}"]
        assert history == [name, dtype, values, qualities], name
        assert latest == [name, dtype, values[1:], qualities[1:]], name
