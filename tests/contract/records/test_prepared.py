"""The question before the preparation must say no whenever the preparation would do something."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, text

from gongfu.kernel.times import SECOND
from gongfu.registry.prepared import CLI_MARGIN, is_prepared
from gongfu.registry.sessions import ensure_cli_token
from gongfu.registry.users import ensure_first_admin
from gongfu.store.records.engine import open_records, writing
from tests.contract.records.conftest import SetClock


def _url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def prepared(sqlite_records: Engine, tmp_path: Path) -> Engine:
    clock = SetClock()
    ensure_first_admin(sqlite_records, clock=clock)
    ensure_cli_token(tmp_path, sqlite_records, clock)
    return sqlite_records


def test_prepared_records_are_known(prepared: Engine, tmp_path: Path) -> None:
    assert is_prepared(_url(prepared), tmp_path, SetClock().now)


def test_a_path_with_odd_characters_is_the_same_file(prepared: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "a%20b #工厂"
    folder.mkdir()
    prepared.dispose()
    (tmp_path / "records.db").rename(folder / "records.db")
    engine = open_records(f"sqlite:///{quote(str(folder))}/records.db")
    ensure_cli_token(tmp_path, engine, SetClock())
    assert is_prepared(_url(engine), tmp_path, SetClock().now)
    engine.dispose()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = '0001'",
        "UPDATE alembic_version SET version_num = '9999'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
        "DELETE FROM access_token",
        "UPDATE app_user SET enabled = 0",
        "UPDATE app_user SET role = 'viewer'",
        "UPDATE app_user SET tenant_id = 2",
    ],
)
def test_what_the_preparation_would_change_is_seen(prepared: Engine, tmp_path: Path, change: str) -> None:
    with writing(prepared) as connection:
        connection.execute(text("INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 1)"))
        connection.execute(text(change))
    assert not is_prepared(_url(prepared), tmp_path, SetClock().now)


def test_a_token_that_ends_within_a_day_is_not_enough(prepared: Engine, tmp_path: Path) -> None:
    with prepared.connect() as connection:
        end = int(connection.execute(text("SELECT expires_at FROM access_token")).scalar_one())
    assert is_prepared(_url(prepared), tmp_path, end - CLI_MARGIN - SECOND)
    assert not is_prepared(_url(prepared), tmp_path, end - CLI_MARGIN)


def test_a_token_that_is_gone_or_another_is_not_enough(prepared: Engine, tmp_path: Path) -> None:
    token = tmp_path / "secrets" / "cli-token"
    token.write_bytes(b"\xff\xfe")
    assert not is_prepared(_url(prepared), tmp_path, SetClock().now)
    token.write_text("gongfu_other\n")
    assert not is_prepared(_url(prepared), tmp_path, SetClock().now)
    token.unlink()
    assert not is_prepared(_url(prepared), tmp_path, SetClock().now)


def test_records_that_are_not_there_are_not_made(prepared: Engine, tmp_path: Path) -> None:
    missing = tmp_path / "other.db"
    assert not is_prepared(f"sqlite:///{missing}", tmp_path, SetClock().now)
    assert not missing.exists()
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    assert not is_prepared(f"sqlite:///{tmp_path}/damaged.db", tmp_path, SetClock().now)


def test_other_databases_are_prepared_the_long_way(tmp_path: Path) -> None:
    assert not is_prepared("postgresql+psycopg://gongfu@127.0.0.1:1/gongfu", tmp_path, SetClock().now)


def test_the_question_needs_no_sqlalchemy() -> None:
    code = "import sys, gongfu.registry.prepared; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("role", ["door", "worker", "web"])
def test_roles_start_without_what_only_others_need(role: str) -> None:
    code = f"import sys, gongfu.node.roles.{role}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"alembic", "psycopg", "pyarrow", "httpx", "sqlglot", "pint", "sqlalchemy.dialects.postgresql"}
