"""An app on a whole node carries out an order of the node itself; people confirm it, and its probe sees that."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

WAIT_S = 120.0
MANIFEST = """\
[app]
id = "test.drill"
version = "1.0.0"
title = { zh = "演练", en = "Drill" }
[needs]
records = true
routes = true
orders = ["evacuation-drill"]
[[provides.order_kinds]]
name = "evacuation-drill"
title = { zh = "疏散演练", en = "Evacuation drill" }
look = { every = "200ms", within = "1h" }
schema = { type = "object", required = ["persons"], properties = { persons = { type = "integer", minimum = 1 } } }
"""
CODE = """\
from gongfu.appkit.contract import App, Context, Order, Question, Request, Seen

app = App()


@app.order_kind("evacuation-drill", effect="all-outside")
def drill(context: Context, order: Order) -> str:
    context.records.execute("INSERT INTO drills (id) VALUES (?)", order.id)
    return "the siren sounds"


@app.route("POST", "/outside/{drill}")
def outside(context: Context, request: Request) -> object:
    return context.records.execute("UPDATE drills SET outside = outside + 1 WHERE id = ?", request.path["drill"])


@app.probe("all-outside")
def all_outside(context: Context, question: Question) -> Seen:
    rows = context.records.query("SELECT outside FROM drills WHERE id = ?", question.order)
    count = rows[0]["outside"] if rows else 0
    return Seen("present" if count >= question.body["persons"] else "unknown", f"{count} are outside")
"""


def package(folder: Path) -> Path:
    source = folder / "source"
    (source / "migrations").mkdir(parents=True)
    (source / "app.toml").write_text(MANIFEST)
    (source / "app.py").write_text(CODE)
    table = "CREATE TABLE drills (id TEXT PRIMARY KEY, outside INTEGER NOT NULL DEFAULT 0);"
    (source / "migrations" / "0001_drills.sql").write_text(table)
    content = read_source(source)
    made = folder / "drill.gfapp"
    made.write_bytes(pack(content, origin_of(source, content), None))
    return made


def target(node: Node, order: str) -> dict[str, Any]:
    shown = json.loads(node.cli("order", "show", order, "--targets", "--json"))
    return dict(shown["target_list"][0])


def drill(node: Node) -> str:
    words = ("--payload", '{"persons": 2}', "--tier", "site", "--issue", "--json")
    return str(json.loads(node.cli("order", "draft", "evacuation-drill", *words))["id"])


def test_an_order_of_an_app_from_its_installation_to_its_removal(tmp_path: Path) -> None:
    file = tmp_path / "gongfu.toml"
    file.write_text(f"[tree]\njoin_port = {free_port()}\nleaf_port = {free_port()}\n")
    node = Node(tmp_path / "data", environment={"GONGFU_CONFIG": str(file)})
    node.start()
    try:
        node.cli("node", "found", "--name", "site-1", "--tier", "site")
        wait_until(lambda: node.run_cli("order", "kinds").returncode == 0, "the tree role serves", WAIT_S)
        unknown = node.run_cli("order", "draft", "evacuation-drill", "--payload", "{}", "--tier", "site", "--json")
        assert "there is no kind" in unknown.stderr
        node.cli("app", "install", str(package(tmp_path)), "--unsigned", "--grant-all")
        wait_until(lambda: "evacuation-drill" in node.cli("order", "kinds"), "the kind is known", WAIT_S)

        order = drill(node)
        wait_until(lambda: target(node, order)["state"] == "executed", "it is executed", WAIT_S)
        assert target(node, order)["detail"] == "the siren sounds"
        for _ in range(2):
            address = f"{node.url}/v1/apps/test.drill/api/outside/{order}"
            call = Request(address, headers={"Authorization": f"Bearer {node.token}"}, method="POST")
            with urlopen(call, timeout=30) as answer:
                assert json.loads(answer.read()) == 1
        wait_until(lambda: target(node, order)["state"] == "verified", "it is verified", WAIT_S)
        assert target(node, order)["verdict"]["evidence"] == "2 are outside"

        later = drill(node)
        wait_until(lambda: target(node, later)["state"] == "executed", "the next is executed", WAIT_S)
        node.cli("app", "remove", "test.drill", "--yes")
        wait_until(lambda: target(node, later)["state"] == "unverifiable", "nobody can verify it", WAIT_S)
        wait_until(lambda: "evacuation-drill" not in node.cli("order", "kinds"), "the kind is gone", WAIT_S)
    finally:
        node.kill()
