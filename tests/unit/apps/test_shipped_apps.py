"""The shipped apps as packages: what they bring is there, and their own tests pass as ``gongfu app test`` runs them."""

import re
from pathlib import Path

import pytest

import gongfu.apps
from gongfu.appkit.developing.tests_of import run_tests
from gongfu.appkit.manifest import read_manifest
from gongfu.appkit.package import open_package_bytes
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from gongfu.reason.rules.documents import parse_rules

FOLDER = Path(gongfu.apps.__file__).parent
APPS = sorted(path.parent.name for path in FOLDER.glob("*/app.toml"))


def test_the_reference_apps_are_there() -> None:
    assert {"machine_anomaly", "process_monitoring", "pump_condition"} <= set(APPS)


@pytest.mark.parametrize("app", APPS)
def test_its_own_tests_pass(app: str) -> None:
    outcomes = list(run_tests(FOLDER / app))
    assert len(outcomes) >= 4
    assert [(outcome.name, outcome.trouble) for outcome in outcomes if outcome.trouble] == []


@pytest.mark.parametrize("app", APPS)
def test_its_package_has_all_that_the_manifest_names(app: str) -> None:
    files = read_source(FOLDER / app)
    packed = pack(files, origin_of(FOLDER / app, files), None)
    package = open_package_bytes(packed, None, allow_unsigned=True)
    provides = read_manifest(FOLDER / app / "app.toml").provides
    named = {
        *provides.rules,
        *provides.thing_models,
        *(model.file for model in provides.models),
        *(page.file for page in provides.pages),
    }
    assert named <= set(package.names)
    for file in provides.rules:
        assert parse_rules(package.read(file))
    assert len(packed) < 500_000


@pytest.mark.parametrize("app", APPS)
def test_its_pages_load_only_what_is_beside_them_and_speak_both_languages(app: str) -> None:
    pages = FOLDER / app / "pages"
    for page in pages.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        for file in re.findall(r'(?:src|href)="([^"]+)"', text):
            assert file == "gongfu.js" or (pages / file).is_file()
        # A page may run no scripts but files, and submit no forms.
        assert not re.search(r"<form|\son[a-z]+=|<script>", text)
        script = (pages / "page.js").read_text(encoding="utf-8")
        for key in re.findall(r'data-text="(\w+)"', text):
            assert re.search(rf"\b{key}: \{{ zh: \".+\", en: \".+\" \}}", script), key
