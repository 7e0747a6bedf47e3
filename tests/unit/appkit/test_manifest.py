"""The manifest: what is right is read, what is wrong is told with file, line, member and what to write."""

import pytest

from gongfu.appkit.manifest import ManifestError, parse_manifest
from gongfu.appkit.versions import in_range

WHOLE = """\
[app]
id = "com.example.vibration"
version = "1.2.0"
title = { zh = "振动", en = "Vibration" }

[needs]
models = ["pump.*"]
records = true
routes = true

[[needs.points]]
asset = "泵/*"
point = "振动"
history = "30d"

[[needs.points]]
point = "rms"
access = "write"

[needs.events]
publish = ["fault"]

[needs.alarms]

[resources]
memory = "384 MiB"
cpu = 0.25

[provides]
rules = ["rules/high.yaml"]
pages = [{ file = "pages/index.html", title = { zh = "图", en = "Chart" } }]
"""


def test_a_whole_manifest_is_read() -> None:
    manifest = parse_manifest(WHOLE.encode())
    assert manifest.app.id == "com.example.vibration"
    assert manifest.needs.points[0].history_ns == 30 * 86_400 * 10**9
    assert manifest.needs.points[1].access == "write"
    assert manifest.needs.alarms is not None
    assert manifest.resources.memory_bytes == 384 * 2**20
    assert manifest.needs.network == "none"


@pytest.mark.parametrize(
    ("old", "new", "line", "member", "says"),
    [
        ('version = "1.2.0"', 'version = "1.2"', 3, "app.version", "major.minor.patch"),
        ('id = "com.example.vibration"', 'id = "Vibration"', 2, "app.id", "two lower-case words"),
        ('history = "30d"', 'history = "30 weeks"', 14, "needs.points[0].history", "not a duration"),
        ('access = "write"', 'access = "all"', 18, "needs.points[1].access", "all"),
        ("cpu = 0.25", "cpu = -1", 27, "resources.cpu", "> 0"),
        ('memory = "384 MiB"', 'memory = "1 MiB"', 26, "resources.memory", "64 MiB"),
        ("records = true", "recods = true", 8, "needs.recods", "no such member"),
        ("records = true", "identifiers = true", 8, "needs.identifiers", "does not offer"),
        ("records = true", "network = 'any'", 8, "needs.network", "no network at all"),
        ('["rules/high.yaml"]', '["../high.yaml"]', 30, "provides.rules[0]", "inside the package"),
        ('"pages/index.html"', '"index.html"', 31, "provides.pages[0].file", "below pages/"),
        ("[needs.alarms]", "", 30, "provides.rules", "needs.alarms"),
        ("cpu = 0.25", "cpu = ", 27, "", "not TOML"),
        ('title = { zh = "振动", en = "Vibration" }', "", 1, "app.title", "is needed"),
        ('version = "1.2.0"', 'version = "1.2.0"\ncontract = ">=2"', 4, "app.contract", "offers contract"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, line: int, member: str, says: str) -> None:
    assert old in WHOLE
    with pytest.raises(ManifestError) as caught:
        parse_manifest(WHOLE.replace(old, new, 1).encode(), "demo/app.toml")
    assert (caught.value.file, caught.value.line, caught.value.member) == ("demo/app.toml", line, member)
    assert says in caught.value.detail


def test_ranges_of_versions() -> None:
    assert in_range("1.4.2", "1.2")
    assert not in_range("2.0.0", "1.2")
    assert not in_range("1.1.9", "1.2")
    assert in_range("1.4.2", ">=1.0, <2")
    with pytest.raises(ValueError, match="version range"):
        in_range("1.0.0", "<0.1,~1")
