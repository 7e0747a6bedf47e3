"""docs/telemetry.md says what is: every example is taken as it stands, every reason code is in its tables."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gongfu.ingest.columnise.reasons import Reason, Shed
from gongfu.ingest.types import Form
from tests.fixtures.telemetry import Telemetry

TEXT = (Path(__file__).parents[3] / "docs" / "telemetry.md").read_text()
JSON = re.findall(r"^(mosquitto_pub|curl).* -(?:m|d) '([^']*)'(.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("command", "payload", "rest"), JSON)
async def test_json_examples_are_taken(telemetry: Telemetry, command: str, payload: str, rest: str) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith(command) and f"'{payload}'{rest}" in line)
    gateway = "v1/gateway/telemetry" in line or "form=gateway" in line
    receipt = await telemetry.send(payload, Form.JSON_GATEWAY if gateway else Form.JSON)
    assert receipt.accepted > 0
    assert receipt.rejected == {}


def test_all_examples_are_found() -> None:
    assert len(JSON) == 8


async def test_ndjson_example_is_taken(telemetry: Telemetry) -> None:
    lines = re.search(r"^printf '%s\\n' '(.*)' '(.*)' \|", TEXT, re.MULTILINE)
    assert lines
    assert (await telemetry.send("\n".join(lines.groups()), Form.NDJSON)).accepted == 2


@pytest.mark.parametrize(
    ("file", "form", "topic"),
    [("points.arrows", Form.ARROW, ""), ("nbirth.bin", Form.SPARKPLUG, "spBv1.0/plant/NBIRTH/edge1")],
)
async def test_programs_make_what_is_taken(telemetry: Telemetry, file: str, form: Form, topic: str) -> None:
    program = re.search(rf"^python3 -c '\n([^']*)' > {re.escape(file)}$", TEXT, re.MULTILINE)
    assert program
    assert not topic or f"'{topic}'" in TEXT
    data = subprocess.run([sys.executable, "-c", program[1]], capture_output=True, check=True).stdout  # noqa: ASYNC221
    receipt = await telemetry.send(data, form, context=topic)
    assert receipt.accepted > 0
    assert receipt.rejected == {}


def test_every_reason_code_is_in_its_table() -> None:
    rejected, shed = TEXT.split("**Rejected**")[1].split("**Shed**")
    assert set(re.findall(r"^\| `(\w+)` \|", rejected, re.MULTILINE)) == {reason.value for reason in Reason}
    assert set(re.findall(r"^\| `(\w+)` \|", shed, re.MULTILINE)) == {reason.value for reason in Shed}
