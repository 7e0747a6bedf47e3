"""``gongfu id load`` on a node that is stopped."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gongfu.identify.management import prefix_records, template_records
from gongfu.identify.service_directory import ServiceDirectory
from gongfu.node.cli.failures import Failure
from gongfu.node.cli.identifier import command
from gongfu.node.data_directory import DataDirectory, DirectoryLock
from gongfu.store.records.engine import open_records, writing
from gongfu.store.records.migrations import migrate
from tests.fixtures.identifiers import PUMP


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.create()
    ServiceDirectory(made.identifiers).create("99.1000", 1)
    engine = open_records(made.records_url)
    migrate(engine)
    body = msgspec.to_builtins(PUMP)
    with writing(engine) as connection:
        given = {"name": "99.1000.1", "name_key": "99.1000.1", "delegated": 0, "state": "active", "seed": []}
        texts = dict.fromkeys(("enterprise", "region", "industry", "service"), "")
        prefix_records.insert(connection, {**given, **texts, "quota": 0, "created_at": 1})
        version = {"name": "pump", "version": 1, "state": "published", "body": body, "changed_at": 1}
        template_records.insert(connection, version)
    engine.dispose()
    return made


def run(directory: DataDirectory, *arguments: str) -> dict[str, int]:
    done = CliRunner().invoke(
        command, ["load", *arguments, "--data-dir", str(directory.root), "--json"], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return dict(json.loads(done.stdout))


def test_load(directory: DataDirectory, tmp_path: Path) -> None:
    file, refused = tmp_path / "pumps.csv", tmp_path / "refused"
    file.write_text("suffix,model,power\na,M,1\nb,M,x\na,M,2\nc,泵,\n")
    options = (str(file), "--template", "pump", "--prefix", "99.1000.1", "--results", str(refused))
    assert run(directory, *options) == {"rows": 4, "created": 2, "invalid": 1, "already-exists": 1}
    rows = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [(row["row"], row["code"]) for row in rows] == [(2, "invalid"), (3, "already-exists")]
    assert rows[0]["detail"] == "power: type a number is expected"
    assert run(directory, *options) == {"rows": 4, "already-exists": 3, "invalid": 1}


def test_few_files_are_made_of_many(directory: DataDirectory, tmp_path: Path) -> None:
    file = tmp_path / "pumps.csv"
    options = (str(file), "--template", "pump", "--prefix", "99.1000.1")
    for number in range(4):
        file.write_text(f"suffix,model\n{number},M\n")
        assert run(directory, *options) == {"rows": 1, "created": 1}
    assert len(list(directory.identifiers.rglob("*.sst"))) >= 4
    assert run(directory, *options, "--compact") == {"rows": 1, "already-exists": 1}
    # One, and one of what was written since the store was opened.
    assert len(list(directory.identifiers.rglob("*.sst"))) <= 2
    file.write_text("".join(f"{line}\n" for line in ("suffix,model", *(f"{number},M" for number in range(4)))))
    assert run(directory, *options) == {"rows": 4, "already-exists": 4}


def test_refused(directory: DataDirectory, tmp_path: Path) -> None:
    file = tmp_path / "pumps.csv"
    file.write_text("suffix,colour\na,red\n")
    for options, said in (
        ((str(file), "--template", "none"), "no published template"),
        ((str(file), "--template", "pump"), "no attributes of the template: colour"),
        ((str(file), "--template", "pump", "--class", "7"), "class 7"),
        ((str(Path(__file__)), "--template", "pump"), "ends in"),
    ):
        with pytest.raises(Failure, match=said):
            run(directory, *options)
    with DirectoryLock(directory), pytest.raises(Failure, match="uses the data directory"):
        run(directory, str(file), "--template", "pump")
