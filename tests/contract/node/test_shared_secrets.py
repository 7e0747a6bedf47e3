"""Secrets that machines share are written in the transactions of what they belong to, by many at once."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.node.shared_files.secrets import connection_folder, secrets_in
from gongfu.store.records.engine import open_records, writing
from tests.fixtures.machines import DEVICE_KEY
from tests.fixtures.postgres import PostgresServer

# As many as the pool has connections.
AT_ONCE = 8


@pytest.fixture
def engine(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Engine]:
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"')
    found = open_records(postgres_server.url(name))
    yield found
    found.dispose()
    postgres_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_many_transactions_that_write_secrets_do_not_wait_for_each_other(engine: Engine, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.create()
    (directory.secrets / "device-key").write_text(DEVICE_KEY)
    runtime = Runtime(
        node="test", data_dir=str(directory.root), nats_servers=[], nats_token="", history_url="", history_user="",
        history_password="", records_url="", mqtt=MqttSettings(), web=WebSettings(), telemetry=TelemetrySettings(),
        instance="east",
    )  # fmt: skip
    secrets = secrets_in(directory.connection_secrets, connection_folder(runtime, engine))
    together = threading.Barrier(AT_ONCE)

    def make(key: int) -> None:
        with writing(engine):
            together.wait(60.0)
            secrets.write(key, {"password": str(key)})

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(make, range(AT_ONCE)))
    assert [secrets.read(key) for key in range(AT_ONCE)] == [{"password": str(key)} for key in range(AT_ONCE)]
