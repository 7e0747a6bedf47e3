from pathlib import Path

import pytest

from gongfu.node.cluster_settings import DEVICE_KEY_VARIABLE
from gongfu.node.configuration import Configuration, load_configuration
from gongfu.node.data_directory import DataDirectory
from gongfu.node.plan import late_roles, make_plan, port_needs, role_specs
from gongfu.node.settings_file import ConfigurationError

ENGINES = """
[nats]
servers = ["nats://a:4222", "nats://b:4222", "nats://c:4222"]
[records]
url = "postgresql://gongfu@db/gongfu"
[history]
urls = ["http://h1:8123", "http://h2:8123"]
"""
CLUSTER = '[cluster]\ninstance = "east"\nsecrets_dir = "secrets"\n'


def read(tmp_path: Path, text: str, **environ: str) -> Configuration:
    file = tmp_path / "gongfu.toml"
    file.write_text(text, encoding="utf-8")
    return load_configuration(file, environ={"XDG_DATA_HOME": str(tmp_path), **environ})


def names(configuration: Configuration) -> list[str]:
    directory = DataDirectory(configuration.data_dir)
    directory.create()
    return [spec.name for spec in role_specs(make_plan(configuration, directory), directory)]


def test_a_machine_of_a_cluster_runs_its_roles_under_its_name(tmp_path: Path) -> None:
    text = ENGINES + CLUSTER + "[telemetry]\npartitions = 4\n[worker]\nprocesses = 2\n[mqtt]\nprocesses = 2\n"
    configuration = read(tmp_path, text + "[block_log]\nreplicas = 3\n")
    assert names(configuration) == ["door-1@east", "door-2@east", "worker-1@east", "worker-2@east", "web@east"]
    workers = read(tmp_path, text.replace(CLUSTER, CLUSTER + 'roles = ["worker"]\n'))
    assert names(workers) == ["worker-1@east", "worker-2@east"]
    assert port_needs(workers) == [], "it listens on nothing"


def test_a_machine_that_names_roles_which_stand_by_runs_exactly_these(tmp_path: Path) -> None:
    def read_roles(roles: str) -> Configuration:
        return read(tmp_path, ENGINES + CLUSTER.replace("instance", roles + "instance"))

    planned = read_roles('roles = ["connect", "notify", "models", "apps"]\n')
    expected = ["connect@east", "models@east", "apps@east", "notify@east"]
    assert names(planned) == expected, "from the start, though nobody has asked for them here"
    directory = DataDirectory(planned.data_dir)
    for want in (directory.want_connect, directory.want_models, directory.want_apps, directory.want_notify):
        want()
    web = read_roles('roles = ["web", "notify"]\n')
    assert names(web) == ["web@east", "notify@east"], "although the others were asked for here"
    late = [role for role in late_roles(make_plan(web, directory), directory) if role.wanted()]
    assert [spec.name for role in late for spec in role.specs()] == ["notify@east"]
    for unnamed, others in (("", ["door-1@east", "worker@east"]), ('roles = ["web"]\n', [])):
        assert names(read_roles(unnamed)) == [*others, "web@east", *expected], "those that were asked for"
    off = read(tmp_path, ENGINES + CLUSTER + 'roles = ["web", "connect"]\n[connect]\nenabled = "off"\n')
    assert names(off) == ["web@east"]


def test_one_machine_keeps_its_names(tmp_path: Path) -> None:
    assert names(read(tmp_path, "")) == ["nats", "history", "door-1", "worker", "web"]
    several = read(tmp_path, "[telemetry]\npartitions = 2\n[worker]\nprocesses = 2\n")
    assert names(several) == ["nats", "history", "door-1", "worker-1", "worker-2", "web"]


def test_all_machines_have_the_key_of_the_first(tmp_path: Path) -> None:
    keys: set[str] = set()
    for instance in ("east", "west"):
        text = ENGINES + CLUSTER.replace("east", instance) + f'[node]\ndata_dir = "{instance}"\n'
        configuration = read(tmp_path, text)
        names(configuration)
        keys.add((configuration.data_dir / "secrets" / "device-key").read_text())
    assert len(keys) == 1
    given = read(
        tmp_path,
        ENGINES + '[cluster]\ninstance = "north"\n[node]\ndata_dir = "north"\n',
        **{DEVICE_KEY_VARIABLE: "ab" * 32},
    )
    assert given.cluster.secrets_dir is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[cluster]\nroles = ["door"]\n', "needs instance"),
        ('[cluster]\ninstance = "a b"\n', "1 to 64 letters"),
        (ENGINES + CLUSTER + 'roles = ["dor"]\n', "did you mean 'door'"),
        (ENGINES + CLUSTER + "roles = []\n", "one or more"),
        (CLUSTER, r"\[nats\] servers"),
        (ENGINES.replace("postgresql://gongfu@db/gongfu", "") + CLUSTER, "SQLite"),
        (ENGINES.replace('["http://h1:8123", "http://h2:8123"]', "[]") + CLUSTER, r"\[history\] urls"),
        (ENGINES + '[cluster]\ninstance = "a"\n', "secrets_dir"),
        ("[block_log]\nreplicas = 3\n", "embedded nats-server"),
        (ENGINES + "[block_log]\nreplicas = 2\n", "odd"),
        ("[worker]\nprocesses = 2\n", "partitions"),
    ],
)
def test_what_cannot_work_is_refused_with_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read(tmp_path, text)
