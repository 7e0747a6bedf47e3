"""Settings of Sparkplug: what is off, what is refused, and which role runs."""

from pathlib import Path

import pytest

from gongfu.node.configuration import ConfigurationError, load_configuration


def test_the_host_is_on_and_the_edge_node_off(tmp_path: Path) -> None:
    found = load_configuration(None, environ={"GONGFU_DATA_DIR": str(tmp_path)})
    assert found.sparkplug.enabled
    assert found.sparkplug_edge.url == ""


def test_settings_are_read(tmp_path: Path) -> None:
    found = load_configuration(
        _file(tmp_path, '[sparkplug]\nhost_ids = ["主机"]\n[sparkplug_edge]\nurl = "mqtts://省.example:8883"\n'),
        environ={},
    )
    assert found.sparkplug.host_ids == ("主机",)
    assert found.sparkplug_edge.url.startswith("mqtts")


def _file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gongfu.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[sparkplug]\nhost_ids = ["a/b"]', "host_ids"),
        ('[sparkplug]\nhost_ids = [""]', "must not be empty"),
        ("[sparkplug]\nreorder_seconds = 0", "reorder_seconds"),
        ("[sparkplug]\nrebirths_per_second = 0", "rebirths_per_second"),
        ('[sparkplug_edge]\nurl = "http://x"', "mqtt://"),
        ('[sparkplug_edge]\ngroup = "+"', "group"),
        ('[sparkplug_edge]\nnode = "a#"', "node"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_configuration(_file(tmp_path, text), environ={})
