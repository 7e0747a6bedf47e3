from pathlib import Path

import pytest

from gongfu.node.configuration import exposures, load_configuration
from gongfu.node.settings_file import ConfigurationError


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gongfu.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configuration = load_configuration(environ={"XDG_DATA_HOME": str(tmp_path)})
    assert configuration.data_dir == tmp_path / "gongfu"
    assert (configuration.mqtt.host, configuration.web.host) == ("127.0.0.1", "127.0.0.1")
    assert configuration.source is None
    assert exposures(configuration) == []


def test_file_then_command_line(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
[node]
name = "plant-1"
data_dir = "data"
[mqtt]
port = 11883
max_payload_bytes = 2000000
[telemetry]
max_future_seconds = 60
[nats]
servers = "nats://a:4222"
[notify]
allow = ["10.0.0.0/8:25", "mail.plant.local"]
[records]
url = "postgresql://u:p@db/gongfu"
[block_log]
max_age = "7d"
max_bytes = "2GiB"
""",
    )
    configuration = load_configuration(file, {"mqtt.port": 11884}, {})
    assert configuration.name == "plant-1"
    assert configuration.data_dir == tmp_path / "data"
    assert configuration.mqtt.port == 11884
    assert configuration.mqtt.max_payload_bytes == 2_000_000
    assert configuration.telemetry.max_future_seconds == 60.0
    assert configuration.nats.servers == ("nats://a:4222",)
    assert configuration.notify.allow == ("10.0.0.0/8:25", "mail.plant.local")
    assert configuration.records_url == "postgresql+psycopg://u:p@db/gongfu"
    assert configuration.block_log.max_age_seconds == 7 * 86_400
    assert configuration.block_log.max_bytes == 2 * 1024**3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[notify]\nallow = ["10.0.0.0/8:25", "a b"]\n', 2, "'a b' is no name, address or network"),
        ("[mqtt]\n\nprot = 1883\n", 3, "unknown key; did you mean 'port'"),
        ("[mqt]\nport = 1883\n", 1, "unknown section; did you mean 'mqtt'"),
        ("[node]\nname='x'\n[mqtt]\nport = '1883'\n", 4, "must be a whole number, not '1883'"),
        ("[mqtt]\nport = true\n", 2, "must be a whole number, not True"),
        ("[mqtt]\nport = 70000\n", 2, "must be 0 to 65535, not 70000"),
        ("[web]\nport = 1883\n", 2, "1883 is already [mqtt] port"),
        ("[mqtt]\nprocesses = 65\n", 2, "must be 1 to 64, not 65"),
        ("[node]\nname = 'a b'\n", 2, "letters, digits, - or _"),
        ("[node]\nport = 1\n", 2, "it belongs to [mqtt]"),
        ("port = 1\n", 1, "must stand in a section"),
        ("[block_log]\nmax_age = 'soon'\n", 2, "a duration such as 90s"),
        ("[block_log]\nmax_bytes = -1\n", 2, "a size such as 500MB"),
        ("[mqtt]\ntls_port = 8883\n", 2, "needs tls_certificate and tls_key"),
        ("[web]\ntls_certificate = 'missing.pem'\n", 2, "is not a file that can be read"),
        ("[history]\nurl = 'clickhouse'\n", 2, "must be http://host"),
        ("[history]\nurls = ['http://a', 'nats://b']\n", 2, "must be http://host"),
        ("[history]\nurl = 'http://a'\nurls = ['http://b']\n", 3, "exclude each other"),
        ("[history]\nurls = ['http://a', 'http://a/']\n", 2, "stands there twice"),
        ("[history]\ncluster = 'main'\n", 2, "needs url"),
        ("[history]\nurl = 'http://a'\ncluster = \"a'b\"\n", 3, "letters, digits, _, - or ."),
        ("[records]\nurl = 'mysql://h/x'\n", 2, "must be postgresql://host"),
        ("[nats]\nservers = [1]\n", 2, "must be a list of texts"),
        ("[mqtt]\nport = 0\nwebsocket_port = 0\n", 2, "are all 0"),
        ("[tree]\nleaf_port = 8080\n", 2, "8080 is already [web] port"),
        ("[tree]\nleaf_port = 1\njoin_port = 1\n", 3, "1 is already [tree] leaf_port"),
        ("[tree]\nenabled = 'on'\n", 2, 'must be "auto" or "off"'),
        ("[tree]\nhost = '0.0.0.0'\n", 2, "needs advertise"),
        ("[tree]\nhost = ''\n", 2, "must not be empty"),
        ("[tree]\nadvertise = 'node:7422'\n", 2, "without a port"),
        ("[tree]\nplugins = ['a-b']\n", 2, "not the name of a Python module"),
    ],
)
def test_wrong_setting_names_file_line_and_remedy(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, environ={})
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert words in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_configuration(tmp_path / "absent.toml", environ={})
    with pytest.raises(ConfigurationError, match=r"not TOML: .*line 1"):
        load_configuration(write(tmp_path, "[mqtt\n"), environ={})
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_configuration(tmp_path / "latin.toml", environ={})


def test_wrong_option_names_the_key_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^\[web\] port: must be 1 to 65535, not 0"):
        load_configuration(None, {"web.port": 0}, {})


def test_addresses_open_to_others_without_tls_are_warned_of(tmp_path: Path) -> None:
    certificate = tmp_path / "node.pem"
    certificate.touch()
    file = write(
        tmp_path,
        """
[mqtt]
host = "0.0.0.0"
tls_port = 8883
tls_certificate = "node.pem"
tls_key = "node.pem"
[web]
host = "::"
""",
    )
    warnings = exposures(load_configuration(file, environ={}))
    assert len(warnings) == 3
    closed = load_configuration(
        file,
        {
            "mqtt.port": 0,
            "mqtt.websocket_port": 0,
            "web.tls_certificate": str(certificate),
            "web.tls_key": str(certificate),
        },
        {},
    )
    assert exposures(closed) == []


def test_zones_of_the_dns_face(tmp_path: Path) -> None:
    lines = ("[identifier]", 'dns_oid_zone = "oid-res.example"', 'dns_addresses = ["192.0.2.1", "2001:db8::1"]')
    file = write(tmp_path, "\n".join((*lines, "recursion = false")))
    settings = load_configuration(file, environ={}).identifier
    assert settings.dns_addresses == ("192.0.2.1", "2001:db8::1")
    assert (settings.dns_oid_zone, settings.recursion) == ("oid-res.example", False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('dns_addresses = ["ns.example"]', "no IP address"),
        ('dns_ons_root = "a b"', "joined by dots"),
        ('recursion = "no"', "true or false"),
    ],
)
def test_zones_of_the_dns_face_that_are_none(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_configuration(write(tmp_path, f"[identifier]\n{line}\n"), environ={})
