"""The site of a node's identifier service: its key stays, its serial number goes up when something changes."""

import stat
from pathlib import Path

import msgspec
import pytest

from gongfu.identify.authentication.public_keys import decode_public_key
from gongfu.node.identifier_site import own_site, server_key
from gongfu.node.runtime import IdentifierSettings

SETTINGS = IdentifierSettings(host="127.0.0.1", handle_port=2641, http_port=2642)


def test_the_key_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    first = server_key(path).public_key
    assert server_key(path).public_key == first
    decode_public_key(first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"no key")
    with pytest.raises(OSError, match="key"):
        server_key(path)


def test_the_serial_number_goes_up_with_changes(tmp_path: Path) -> None:
    path = tmp_path / "site.json"

    def serial(**changes: object) -> int:
        site = own_site(msgspec.structs.replace(SETTINGS, **changes), b"key", path)
        assert site is not None
        return site.serial

    assert [serial(), serial(), serial(http_port=1), serial(http_port=1), serial()] == [1, 1, 2, 2, 3]
    path.write_text('{"serial":65534,"data":""}')
    assert [serial(), serial(), serial(http_port=1)] == [1, 1, 2]
    path.write_text("{")
    with pytest.raises(OSError, match=r"site\.json"):
        serial()


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"handle_port": 0}, {"advertise": "id.example"}])
def test_no_site_without_an_address(tmp_path: Path, settings: dict[str, object]) -> None:
    assert own_site(msgspec.structs.replace(SETTINGS, **settings), b"key", tmp_path / "site.json") is None
