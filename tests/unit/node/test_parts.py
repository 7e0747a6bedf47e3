"""The small parts of the supervisor, without processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.node.backoff import FIRST_S, LONGEST_S, STEADY_S, Backoff
from gongfu.node.console import Console
from gongfu.node.data_directory import (
    DataDirectory,
    DataDirectoryError,
    DirectoryLock,
    lock_holder,
    secret_of,
    write_private,
)
from gongfu.node.log_file import LogFile
from gongfu.node.ports import PortNeed, bind_probe, keep_ports, port_holder, port_trouble
from gongfu.node.process_usage import usage_of
from gongfu.node.quantities import format_bytes, parse_bytes, parse_seconds
from gongfu.node.toml_lines import line_of


def test_quantities() -> None:
    assert [parse_seconds(v) for v in ("90s", "15m", "1.5 h", "7d", 30)] == [90, 900, 5400, 604_800, 30]
    assert [parse_bytes(v) for v in ("10GB", "512 MiB", 4096, "1TiB")] == [10**10, 512 * 2**20, 4096, 2**40]
    for wrong in ("", "h", "-1s", "0s", "1 week", True, None, [1], "1e3s"):
        with pytest.raises(ValueError, match="must be a duration"):
            parse_seconds(wrong)
    assert [format_bytes(n) for n in (0, 999, 1500, 10**10, 2 * 10**14)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "10.0 GB",
        "200.0 TB",
    ]


def test_line_of_key() -> None:
    text = '# comment\n[node]\nname = "x"\n\n[mqtt]\n"port" = 1\nhost="h"\n[web]\nport=2\n'
    assert line_of(text, "mqtt", "port") == 6
    assert line_of(text, "web", "port") == 9
    assert line_of(text, "web") == 8
    assert line_of(text, "web", "absent") == 8
    assert line_of(text, "nats", "x") is None


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 1)), max_size=60))
def test_backoff_is_bounded_and_forgets_after_a_steady_run(falls: list[tuple[float, float]]) -> None:
    backoff = Backoff()
    in_a_row = 0
    for ran, chance in falls:
        in_a_row = 0 if ran >= STEADY_S else in_a_row
        delay = backoff.next_delay(ran, chance)
        base = min(FIRST_S * 2**in_a_row, LONGEST_S)
        assert base * 0.8 <= delay <= base * 1.2
        in_a_row += 1
        assert backoff.failures == in_a_row


def test_lock_names_the_holder_and_is_free_again(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.create()
    assert lock_holder(directory) is None
    with DirectoryLock(directory):
        assert (lock_holder(directory) or {})["pid"] == os.getpid()
        with pytest.raises(DataDirectoryError, match=rf"process {os.getpid()}.*{tmp_path}.*--data-dir"):
            DirectoryLock(directory).acquire()
    assert lock_holder(directory) is None
    with DirectoryLock(directory):
        pass


def test_data_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match="cannot be written"):
        DataDirectory(tmp_path / "file" / "data").create()


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    secret = secret_of(tmp_path / "key")
    assert secret_of(tmp_path / "key") == secret
    assert len(bytes.fromhex(secret)) == 32
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    write_private(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_taken_port_names_port_setting_and_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = port_trouble(PortNeed("127.0.0.1", port, "[mqtt] port")) or ""
        assert f"port {port} ([mqtt] port) is taken by process {os.getpid()} (" in text
    assert port_trouble(PortNeed("127.0.0.1", port, "[mqtt] port")) is None
    assert port_holder(port) == ""


def test_shared_port_counts_as_taken() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert port_trouble(PortNeed("127.0.0.1", server.getsockname()[1], "[mqtt] port"))


def test_address_of_another_machine_is_explained() -> None:
    assert "cannot listen on 192.0.2.1" in (port_trouble(PortNeed("192.0.2.1", 1883, "[mqtt] port")) or "")


def test_ports_are_kept_while_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = keep_ports(file, ("nats", "history"), frozenset())
    assert len(set(first.values())) == 2
    assert keep_ports(file, ("nats", "history"), frozenset()) == first
    with socket.create_server(("127.0.0.1", first["nats"])):
        second = keep_ports(file, ("nats", "history"), frozenset())
    assert second["nats"] != first["nats"]
    assert second["history"] == first["history"]
    assert keep_ports(file, ("nats", "history"), frozenset({second["nats"]}))["nats"] != second["nats"]
    file.write_text('{"nats": "x"')
    assert bind_probe("127.0.0.1", keep_ports(file, ("nats",), frozenset())["nats"])


def test_log_rotates_and_keeps_a_few(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", max_bytes=20, kept=2)
    for n in range(5):
        log.write(f"line {n} 12345678\n".encode())
    log.close()
    assert [(tmp_path / name).read_text()[:6] for name in ("x.log", "x.log.1", "x.log.2")] == [
        "line 4",
        "line 3",
        "line 2",
    ]
    assert not (tmp_path / "x.log.3").exists()
    again = LogFile(tmp_path / "x.log", max_bytes=20, kept=2)
    again.write(b"more than fits\n")
    again.close()
    assert (tmp_path / "x.log").read_text() == "more than fits\n"


def test_console_never_blocks_on_a_reader_that_does_not_read() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        console = Console(stream)
        for _ in range(3000):
            console.role_lines("door-1", b"x" * 100 + b"\n")
        seen = os.read(reader.fileno(), 1 << 20)
        assert 0 < len(seen) < 3000 * 100
        console.say("after")
        tail = os.read(reader.fileno(), 1 << 20).decode()
    assert "lines left out here" in tail
    assert tail.endswith("gongfu     | after\n")


def test_usage_counts_descendants_when_asked() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(); sys.stdin.read()"], stdin=-1, stdout=-1
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        cpu, alone = usage_of(os.getpid(), descendants=False)
        _, together = usage_of(os.getpid())
        _, of_child = usage_of(child.pid)
    assert cpu > 0
    assert alone > 1_000_000
    assert together >= alone + of_child // 2
    assert usage_of(child.pid) == (0, 0)


def test_state_of_a_free_directory_is_no_json_error(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.create()
    with DirectoryLock(directory):
        directory.lock.write_text("")
        assert lock_holder(directory) == {}
        directory.lock.write_text(json.dumps({"pid": 1}))
        assert lock_holder(directory) == {"pid": 1}
