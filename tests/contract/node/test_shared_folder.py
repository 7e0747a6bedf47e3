"""Directories of two machines and the records: what one writes the other reads, and what one removes is gone."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from gongfu.node.shared_files.folder import MAX_BYTES, SharedFolder
from gongfu.node.shared_files.records import shared_file
from gongfu.node.shared_files.sealing import Seal
from gongfu.node.shared_files.secrets import SharedSecrets
from gongfu.store.records.engine import reading

SEAL = Seal(b"k" * 32)
WHOLE = {"pki/own": ("key.pem", "certificate.der")}


class Machines:
    """Two machines with a folder each."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.roots = [root / name / "connections" for name in ("east", "west")]
        self.folders = [SharedFolder(engine, SEAL, "connections", path, WHOLE) for path in self.roots]
        self.secrets = [SharedSecrets(*pair) for pair in zip(self.roots, self.folders, strict=True)]

    def sync(self) -> None:
        for folder in (*self.folders, *self.folders):
            folder.sync()

    def files(self, machine: int) -> dict[str, bytes]:
        root = self.roots[machine]
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and path.name != "wanted"
        }


@pytest.fixture
def machines(records: Engine, tmp_path: Path) -> Machines:
    return Machines(records, tmp_path)


def test_secrets_are_read_where_they_were_not_written(machines: Machines) -> None:
    east, west = machines.secrets
    east.write(7, {"password": "grün"})
    assert west.read(7) == {"password": "grün"}
    assert (machines.roots[1] / "7" / "options.json").stat().st_mode & 0o777 == 0o600
    with reading(machines.engine) as connection:
        assert not [row for row in connection.execute(select(shared_file)) if "grün".encode() in row.content]
    west.write(7, {"password": "other"})
    machines.sync()
    assert east.read(7) == {"password": "other"}
    west.remove(7)
    machines.sync()
    assert east.read(7) == {}
    assert machines.files(0) == machines.files(1) == {}


def test_what_was_there_before_the_machine_shared_is_given(machines: Machines) -> None:
    for root, name in zip(machines.roots, ("1", "2"), strict=True):
        (root / name).mkdir(parents=True)
        (root / name / "positions.json").write_text(name)
    machines.sync()
    assert machines.files(0) == machines.files(1) == {"1/positions.json": b"1", "2/positions.json": b"2"}


def test_a_folder_that_came_back_takes_what_became_of_its_files(machines: Machines) -> None:
    root = machines.roots[0]
    for name in ("kept", "changed", "removed"):
        root.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1")
    machines.sync()
    (machines.roots[1] / "changed").write_text("22")
    (machines.roots[1] / "removed").unlink()
    machines.folders[1].sync()
    # Another process: it knows only what is on disk.
    SharedFolder(machines.engine, SEAL, "connections", root, WHOLE).sync()
    assert machines.files(0) == {"kept": b"1", "changed": b"22"}


def test_a_key_and_its_certificate_come_together(machines: Machines) -> None:
    own = [root / "pki" / "own" for root in machines.roots]
    for number, folder in enumerate(own):
        folder.mkdir(parents=True)
        (folder / "key.pem").write_text(f"key {number}")
        (folder / "lock").touch()
    machines.folders[0].sync()
    (own[1] / "certificate.der").write_text("certificate 1")
    machines.folders[1].sync()
    (own[0] / "certificate.der").write_text("certificate 0")
    machines.sync()
    for folder in own:
        assert {p.name: p.read_text() for p in folder.iterdir()} == {
            "key.pem": "key 1", "certificate.der": "certificate 1", "lock": "",
        }  # fmt: skip


def test_what_is_on_its_way_too_large_or_only_tried_stays(machines: Machines) -> None:
    root = machines.roots[0]
    (root / "trial").mkdir(parents=True)
    for name in (".options.json.77", "heard.part", "positions.new", "trial/x"):
        (root / name).write_text("1")
    os.truncate(_made(root / "large"), MAX_BYTES + 1)
    machines.sync()
    assert machines.files(1) == {}
    assert len(machines.files(0)) == 5, "they stay where they are"


def test_another_device_key_opens_nothing_and_harms_nothing(machines: Machines, tmp_path: Path) -> None:
    machines.secrets[0].write(1, {"password": "a"})
    stranger = SharedFolder(machines.engine, Seal(b"j" * 32), "connections", tmp_path / "north" / "connections")
    stranger.sync()
    stranger.sync()
    assert not list((tmp_path / "north").rglob("options.json"))
    machines.sync()
    assert machines.secrets[1].read(1) == {"password": "a"}


def test_a_directory_that_cannot_be_read_is_not_taken_for_empty(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.secrets[0].write(7, {"password": "a"})
    machines.sync()
    scan = os.scandir

    def fail(path: Path) -> Any:
        if Path(path).name == "7":
            raise OSError(errno.EIO, "a disk that fails")
        return scan(path)

    with monkeypatch.context() as patch, suppress(OSError):
        patch.setattr(os, "scandir", fail)
        machines.folders[0].sync()
    machines.folders[1].sync()
    assert machines.secrets[1].read(7) == {"password": "a"}, "also if the first machine does not come back"


@pytest.mark.parametrize("emptied", [False, True])
def test_a_machine_that_lost_its_directory_gets_it_again(machines: Machines, emptied: bool) -> None:
    machines.secrets[0].write(7, {"password": "a"})
    machines.sync()
    shutil.rmtree(machines.roots[0])
    if emptied:
        machines.roots[0].mkdir()
    SharedFolder(machines.engine, SEAL, "connections", machines.roots[0], WHOLE).sync()
    machines.sync()
    assert [secrets.read(7) for secrets in machines.secrets] == [{"password": "a"}] * 2


def test_what_grows_too_large_is_kept_elsewhere_as_it_was(machines: Machines) -> None:
    for root in machines.roots[:1]:
        (root / "1").mkdir(parents=True)
        (root / "1" / "positions.json").write_text("1")
    machines.sync()
    os.truncate(machines.roots[0] / "1" / "positions.json", MAX_BYTES + 1)
    machines.sync()
    assert machines.files(1) == {"1/positions.json": b"1"}
    (machines.roots[0] / "1" / "positions.json").write_text("2")
    machines.sync()
    assert machines.files(1) == {"1/positions.json": b"2"}


def _made(path: Path) -> Path:
    path.touch()
    return path
