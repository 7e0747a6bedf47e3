"""Configuration of nats-server."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.bus.server import find_server, render_server_config


def test_configuration_syncs_before_it_acknowledges_and_listens_on_loopback_only() -> None:
    text = render_server_config(port=4222, store_dir="/data/log", token="secret")
    assert "sync_interval: always" in text
    assert 'host: "127.0.0.1"' in text
    for absent in ("mqtt", "http", "0.0.0.0", "websocket", "cluster"):
        assert absent not in text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_stays_inside_its_quotes(text: str) -> None:
    lines = render_server_config(port=1, store_dir=text, token=text).splitlines()
    assert f"  store_dir: {json.dumps(text, ensure_ascii=False)}" in lines
    assert f"authorization {{ token: {json.dumps(text, ensure_ascii=False)} }}" in lines


def test_server_without_token_is_not_started() -> None:
    with pytest.raises(ValueError, match="token"):
        render_server_config(port=1, store_dir="/x", token="")


def test_binary_is_found_and_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_server().name == "nats-server"
    other = tmp_path / "other"
    monkeypatch.setenv("GONGFU_NATS", str(other))
    with pytest.raises(FileNotFoundError, match="correct it"):
        find_server()
    other.touch()
    assert find_server() == other
