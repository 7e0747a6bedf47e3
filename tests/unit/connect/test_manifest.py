"""Manifests, options and addresses: what is wrong is told by name, with what would be right."""

from pathlib import Path

import pytest

from gongfu.connect.kit.loading import available, driver_of, driver_of_scheme
from gongfu.connect.kit.manifest import (
    ManifestError,
    OptionsError,
    address_problems,
    check_options,
    load_manifest,
    secret_names,
)
from gongfu.connect.kit.types import Address, DriverError, Manifest

MANIFEST = """
protocol = "x"
schemes = ["x"]
title = {zh = "某", en = "X"}
[options_schema.properties.unit]
type = "integer"
minimum = 0
maximum = 255
default = 1
[options_schema.properties.password]
type = "string"
minLength = 3
writeOnly = true
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    file = tmp_path / "manifest.toml"
    file.write_text(MANIFEST, encoding="utf-8")
    return load_manifest(file)


def test_defaults_are_filled_in(manifest: Manifest) -> None:
    assert check_options(manifest, {}) == {"unit": 1}
    assert check_options(manifest, {"unit": 3, "password": "abc"}) == {"unit": 3, "password": "abc"}
    assert secret_names(manifest) == {"password"}


def test_a_wrong_option_is_named(manifest: Manifest) -> None:
    with pytest.raises(OptionsError, match=r"option unit: 256 is greater than the maximum of 255"):
        check_options(manifest, {"unit": 256})
    with pytest.raises(OptionsError, match=r"'units' was unexpected.*known are password, unit"):
        check_options(manifest, {"units": 1})


def test_a_secret_is_not_shown_in_an_error(manifest: Manifest) -> None:
    with pytest.raises(OptionsError) as caught:
        check_options(manifest, {"password": "zz"})
    assert "zz" not in str(caught.value)
    assert "password" in str(caught.value)


@pytest.mark.parametrize("text", ["", "protocol = 'x'", "protocol='x'\nschemes=['x']\ntitle={en='X'}", "[["])
def test_an_incomplete_manifest_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text(text)
    with pytest.raises(ManifestError, match=r"manifest\.toml"):
        load_manifest(file)


def test_problems_of_addresses() -> None:
    good = Address(point="t", where="holding:0", deadband=1.0)
    assert list(address_problems(good)) == []
    bad = Address(point="t", where="x", every=0.0, scale=0.0, deadband=1.0, swinging_door=1.0, value_type="string")
    assert len(list(address_problems(bad))) == 4


def test_every_built_in_driver_has_a_manifest_that_says_what_is_needed() -> None:
    for protocol, driver in available().items():
        manifest = driver.manifest
        assert manifest.protocol == protocol
        for scheme in manifest.schemes:
            assert driver_of_scheme(scheme) is driver
        for name in secret_names(manifest):
            assert not manifest.options_schema["properties"][name].get("default")
        for part in manifest.options_schema.get("properties", {}).values():
            assert part.get("description") or part.get("title")
        check_options(
            manifest,
            {
                name: part["default"]
                for name, part in manifest.options_schema.get("properties", {}).items()
                if "default" in part
            },
        )


def test_an_unknown_driver_names_the_known_ones() -> None:
    with pytest.raises(DriverError, match=r"no driver 'nope'.*Known are"):
        driver_of("nope")
    with pytest.raises(DriverError, match="nope://"):
        driver_of_scheme("nope")
