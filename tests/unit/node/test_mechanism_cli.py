"""``gongfu mechanism``: what is wrong with a definition's file is told before anything is sent."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gongfu.node.cli.mechanism import command


@pytest.mark.parametrize(
    ("text", "words"), [(b"{", "is no JSON"), (b"[1]", "one JSON object"), (b"\xff", "is no JSON")]
)
def test_a_definition_that_is_none_is_told(tmp_path: Path, text: bytes, words: str) -> None:
    model, spec = tmp_path / "power.py", tmp_path / "spec.json"
    model.write_text("")
    spec.write_bytes(text)
    found = CliRunner().invoke(command, ["register", str(model), "--spec", str(spec)])
    assert found.exit_code == 2
    assert words in found.output
