"""A driver of another package: found by its entry point, used like ours, and no harm when it is broken."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gongfu.connect.kit.loading import available, driver_of_scheme, make_driver
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Context, DriverError, Reason

MANIFEST = """
protocol = "{name}"
schemes = ["{name}"]
title = {{zh = "某", en = "Acme"}}
"""
DRIVER = """
from pathlib import Path
from gongfu.connect.kit.manifest import load_manifest

class AcmeDriver:
    manifest = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context):
        self.context = context

    async def health(self):
        return {"url": self.context.url}
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    available.cache_clear()
    yield tmp_path
    available.cache_clear()


def install(folder: Path, name: str, manifest: str, driver: str) -> None:
    package = folder / f"{name}_driver"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "manifest.toml").write_text(manifest)
    (package / "driver.py").write_text(driver)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gongfu.drivers]\n{name} = {name}_driver.driver:AcmeDriver\n")


def context(url: str) -> Context:
    return Context(url, {}, "test", Path("/nonexistent"), SystemTiming())


def test_a_package_brings_a_driver(packages: Path) -> None:
    install(packages, "acmeone", MANIFEST.format(name="acmeone"), DRIVER)
    found = driver_of_scheme("acmeone")
    assert found.manifest.title["en"] == "Acme"
    driver = make_driver(found, context("acmeone://host"))
    assert asyncio.run(driver.health()) == {"url": "acmeone://host"}


def test_a_broken_package_is_left_out_and_says_why(packages: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(packages, "acmetwo", "protocol = 5", DRIVER)
    assert "acmetwo" not in available()
    assert "modbus" in available()
    assert "acmetwo" in caplog.text


def test_a_missing_library_says_what_to_install(packages: Path) -> None:
    install(packages, "acmethree", MANIFEST.format(name="acmethree"), "import no_such_library_here")
    with pytest.raises(DriverError, match="no_such_library_here") as caught:
        make_driver(driver_of_scheme("acmethree"), context("acmethree://host"))
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "install" in caught.value.advice


def test_names_of_ours_are_not_taken_over(packages: Path) -> None:
    install(packages, "modbus", MANIFEST.format(name="modbus"), DRIVER)
    assert available()["modbus"].source.startswith("gongfu.")
