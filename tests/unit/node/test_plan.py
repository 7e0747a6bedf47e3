"""What roles are run with."""

from pathlib import Path

import pytest

from gongfu.identify.service_directory import ServiceDirectory
from gongfu.node.configuration import load_configuration
from gongfu.node.data_directory import DataDirectory
from gongfu.node.plan import libraries_of, make_plan, port_needs, role_specs
from gongfu.node.role_process import RoleSpec


def _specs(tmp_path: Path, text: str = "", *, joined: bool = False) -> dict[str, RoleSpec]:
    file = tmp_path / "gongfu.toml"
    file.write_text(text, encoding="utf-8")
    configuration = load_configuration(file, environ={"XDG_DATA_HOME": str(tmp_path)})
    directory = DataDirectory(configuration.data_dir)
    directory.create()
    if joined:
        directory.tree_joined.parent.mkdir()
        directory.tree_joined.touch()
    assert ("[tree] join_port" in [need.setting for need in port_needs(configuration)]) is (joined and not text)
    return {spec.name: spec for spec in role_specs(make_plan(configuration, directory), directory)}


def _environments(tmp_path: Path) -> dict[str, dict[str, str]]:
    return {name: dict(spec.environment) for name, spec in _specs(tmp_path).items()}


def test_roles_with_large_arrays_return_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    roles = _environments(tmp_path)
    for name in ("worker", "web"):
        assert roles[name]["MALLOC_ARENA_MAX"] == "1"
        assert int(roles[name]["MALLOC_MMAP_THRESHOLD_"]) < int(roles[name]["MALLOC_TRIM_THRESHOLD_"])
    assert not [name for name in roles["door-1"] if name.startswith("MALLOC_")]


def test_the_role_that_looks_up_in_large_memory_has_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert libraries_of("identifier")["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert "GLIBC_TUNABLES" not in libraries_of("worker")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1")
    assert "GLIBC_TUNABLES" not in libraries_of("identifier")


def test_what_the_operator_sets_for_malloc_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert "MALLOC_ARENA_MAX" not in _environments(tmp_path)["worker"]


def test_only_the_worker_has_threads_for_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    roles = _environments(tmp_path)
    assert {name for name, set_ in roles.items() if set_.get("OPENBLAS_NUM_THREADS") == "1"} == {
        "history",
        "door-1",
        "web",
    }


def test_roles_of_the_tree_run_in_a_tree_only(tmp_path: Path) -> None:
    alone = _specs(tmp_path)
    assert not [name for name in alone if name.startswith("tree")]
    joined = _specs(tmp_path, joined=True)
    assert list(joined)[-2:] == ["tree-nats", "tree"]
    # Its configuration is written by the other.
    assert joined["tree-nats"].needs == ("tree",)
    assert joined["tree"].needs == ("nats", "prepare")


def test_roles_of_the_tree_can_be_turned_off(tmp_path: Path) -> None:
    assert "tree" not in _specs(tmp_path, "[tree]\nenabled = 'off'\n", joined=True)


def test_the_identifier_role_runs_when_the_service_is_set_up(tmp_path: Path) -> None:
    assert "identifier" not in _specs(tmp_path)
    ServiceDirectory(DataDirectory(tmp_path / "gongfu").identifiers).create("99.168", 1)
    assert list(_specs(tmp_path))[-1] == "identifier"
    assert "identifier" not in _specs(tmp_path, '[identifier]\nenabled = "off"\n')
