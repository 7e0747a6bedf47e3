"""A node on engines of the operator's own: NATS and PostgreSQL are used, not started, and not backed up."""

import json
from pathlib import Path

from tests.fixtures.nats import TOKEN, NatsServer
from tests.fixtures.node import Node


def test_external_nats_and_postgresql(node: Node, nats_server: NatsServer, postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "gongfu.toml").write_text(
        f"""
[nats]
servers = "nats://127.0.0.1:{nats_server.port}"
token = {json.dumps(TOKEN)}
[records]
url = {json.dumps(postgres_url)}
"""
    )
    node.start()
    assert set(node.roles()) == {"history", "door-1", "worker", "web"}
    assert len(node.one_time_password) >= 12
    node.cli("device", "add", "p-1")
    document = json.loads(node.cli("backup", str(tmp_path / "backup"), "--json"))
    assert document["included"] == ["files", "history"]
    assert [text.partition(":")[0] for text in document["not_included"]] == ["block log", "records"]
    assert not (node.data_dir / "records" / "records.sqlite").exists()
    assert node.stop() == 0
    assert node.start().ready["ready_seconds"] > 0
    assert [device["name"] for device in json.loads(node.cli("device", "list", "--json"))] == ["p-1"]


def test_unreachable_postgresql_ends_the_start_with_its_reason(node: Node, tmp_path: Path) -> None:
    (tmp_path / "gongfu.toml").write_text('[records]\nurl = "postgresql://u:verysecret@127.0.0.1:1/none"\n')
    process = node.launch()
    assert process.wait() == 1
    assert "the node cannot start: the records cannot be prepared" in process.output
    assert "Connection refused" in process.output
    assert "verysecret" not in process.output
    assert "Traceback" not in process.output
