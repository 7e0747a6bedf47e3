"""What roles are run with."""

from pathlib import Path

import pytest

from gongfu.node.configuration import load_configuration
from gongfu.node.data_directory import DataDirectory
from gongfu.node.plan import make_plan, role_specs


def _environments(tmp_path: Path) -> dict[str, dict[str, str]]:
    file = tmp_path / "gongfu.toml"
    file.write_text("", encoding="utf-8")
    configuration = load_configuration(file, environ={"XDG_DATA_HOME": str(tmp_path)})
    directory = DataDirectory(configuration.data_dir)
    directory.create()
    return {spec.name: dict(spec.environment) for spec in role_specs(make_plan(configuration, directory), directory)}


def test_roles_with_large_arrays_return_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    roles = _environments(tmp_path)
    for name in ("worker", "web"):
        assert roles[name]["MALLOC_ARENA_MAX"] == "1"
        assert int(roles[name]["MALLOC_MMAP_THRESHOLD_"]) < int(roles[name]["MALLOC_TRIM_THRESHOLD_"])
    assert not [name for name in roles["door-1"] if name.startswith("MALLOC_")]


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
