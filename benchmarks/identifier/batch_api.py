"""Batches through the API of a whole node: ``python -m benchmarks.identifier.batch_api [--rows 400000]``.

A node is started as a user starts it; records of seven attributes are sent to ``POST /v1/identifiers:batch`` as NDJSON,
CSV and Parquet with a key of idempotency. CPU is that of all processes of the node together (supervisor, web, bus,
identifier role and what else runs), taken from the system's account of them; the client's is not counted. Each result
line is read and counted.
"""

import argparse
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pyarrow.csv
import pyarrow.parquet

from benchmarks.identifier.records import NAMES, PUMP, table
from benchmarks.ingest.report import Row
from benchmarks.ingest.report import table as shown
from tests.fixtures.nats import free_port

_TICKS = os.sysconf("SC_CLK_TCK")
_PREFIX = "99.168.1"


def _children(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _children(int(child))
    return found


def _cpu(pids: list[int]) -> dict[str, float]:
    """Return the CPU seconds of processes, by name of the role."""
    spent: dict[str, float] = {}
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        words = [word for word in line.split() if not word.startswith("-") and "/" not in word]
        name = " ".join(words[-2:])[-40:] or Path(line.split()[0]).name
        spent[name] = spent.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def _body(form: str, first: int, count: int) -> bytes:
    rows = table(first, count)
    file = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(rows, file, pyarrow.csv.WriteOptions(quoting_style="needed"))
    elif form == "parquet":
        pyarrow.parquet.write_table(rows, file)
    else:
        encode = msgspec.json.Encoder().encode
        for row in rows.to_pylist():
            file.write(encode({"suffix": row["suffix"], "attributes": {name: row[name] for name in NAMES}}) + b"\n")
    return file.getvalue()


_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


class _Node:
    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.port = free_port()
        ports = {name: free_port() for name in ("handle_port", "http_port", "dns_port")}
        config = directory / "gongfu.toml"
        config.write_text("\n".join(["[identifier]", *(f"{name} = {port}" for name, port in ports.items()), ""]))
        self.environment = {**os.environ, "GONGFU_CONFIG": str(config)}
        others = [f"--mqtt-port={free_port()}", f"--websocket-port={free_port()}", f"--web-port={self.port}"]
        command = [sys.executable, "-m", "gongfu.node.cli", "up", "--json", "--data-dir", str(self.data), *others]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if '"ready_seconds"' in line:
                break
        self.token = (self.data / "secrets" / "cli-token").read_text().strip()
        self.cli("id", "init", "--prefix", "99.168")
        self.cli("id", "prefix", "add", _PREFIX, "--enterprise", "泵业有限公司")
        template = directory / "pump.json"
        document = msgspec.to_builtins(PUMP)
        template.write_text(json.dumps({key: document[key] for key in ("name", "title", "industry", "attributes")}))
        self.cli("id", "template", "add", str(template), "--publish")

    def cli(self, *words: str) -> None:
        command = [sys.executable, "-m", "gongfu.node.cli", *words, "--data-dir", str(self.data)]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def register(self, form: str, body: bytes, key: str) -> int:
        """Send a batch; returns how many were created."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"authorization": f"Bearer {self.token}", "content-type": _TYPES[form], "idempotency-key": key}
        connection.request("POST", f"/v1/identifiers:batch?template=pump&prefix={_PREFIX}", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        created, last = 0, b""
        for line in answer:
            created += b'"created"' in line
            last = line
        summary = json.loads(last)["summary"]
        assert created == summary["created"] + 1, summary
        return int(summary["created"])


def measure(rows: int) -> list[Row]:
    """Register so many rows in each form, and send the first again."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        node = _Node(Path(temporary))
        try:
            for number, form in enumerate(_TYPES):
                # The first batch loads the libraries.
                node.register(form, _body(form, number * 10**7, 30_000), f"warm {form}")
                body = _body(form, number * 10**7 + 10**6, rows)
                pids = _children(node.process.pid)
                before = _cpu(pids)
                created = node.register(form, body, form)
                after = _cpu(pids)
                assert created == rows, created
                spent = {name: after[name] - before[name] for name in after}
                total = sum(spent.values())
                parts = ", ".join(f"{name}: {1e6 * part / rows:.2f}" for name, part in spent.items() if part > 0.05)
                print(f"{form}: {1e6 * total / rows:.2f} us CPU a row ({parts}); {len(body) / rows:.0f} B a row")
                words = f"API batch of {rows:,}, {form}, key of idempotency, all processes of the node"
                found.append(Row(words, rows / total, "1/s CPU", 100_000, "higher"))
        finally:
            node.process.terminate()
            node.process.wait(60)
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    print(shown(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
