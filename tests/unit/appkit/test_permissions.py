"""Permissions one by one: what is optional may be refused, the rest not; upgrades that ask for more wait."""

import asyncio
from pathlib import Path

import pytest

from gongfu.appkit.grants import Grants, PointPlace, asked_lines
from gongfu.appkit.installed.consenting import granted_of, granted_permissions, proposed_permissions
from gongfu.appkit.manifest import ManifestError, Needs, parse_manifest
from gongfu.appkit.permissions import by_name, permissions_of, refused_names, refused_needs, required, without
from gongfu.appkit.testing import Bench
from gongfu.kernel.errors import Problem
from tests.unit.appkit.test_lifecycle import ADMIN, APP, World, package

REASON = 'reason = { zh = "更准", en = "More exact" }'
NEEDS = f"""\
[app]
id = "test.optional"
version = "1.0.0"
title = {{ zh = "选", en = "Optional" }}
contract = "1.1"
[needs]
records = true
models = ["plain.*", {{ id = "pump.*", name = "pump", optional = true, {REASON} }}]
[[needs.points]]
point = "level"
name = "level"
[[needs.points]]
point = "speed"
name = "speed"
optional = true
{REASON}
[needs.alarms]
name = "alarms"
optional = true
{REASON}
[needs.events]
publish = ["fault.*", "note"]
name = "events"
optional = true
{REASON}
"""
MANIFEST = parse_manifest(NEEDS.encode())
ALL = MANIFEST.needs


def test_what_is_optional_may_be_refused_by_name_and_nothing_else() -> None:
    told = {one.line: (one.kind, one.name, one.optional, one.reason.get("zh", "")) for one in permissions_of(ALL)}
    assert told == {
        "read points 'level' of assets '**'": ("read", "level", False, ""),
        "read points 'speed' of assets '**'": ("read", "speed", True, "更准"),
        "raise alarms at assets '**'": ("alarms", "alarms", True, "更准"),
        "note events 'fault.*'": ("events", "events", True, "更准"),
        "note events 'note'": ("events", "events", True, "更准"),
        "invoke models 'plain.*'": ("models", "", False, ""),
        "invoke models 'pump.*'": ("models", "pump", True, "更准"),
        "keep tables of its own": ("records", "", False, ""),
    }
    some = without(ALL, ["speed", "events"])
    assert set(asked_lines(ALL)) - set(asked_lines(some)) == {
        "read points 'speed' of assets '**'",
        "note events 'fault.*'",
        "note events 'note'",
    }
    assert refused_names(ALL, some) == ["events", "speed"]
    assert by_name(ALL, some) == {"level": True, "speed": False, "alarms": True, "events": False, "pump": True}
    assert asked_lines(required(ALL)) == [line for line, (_, _, optional, _) in told.items() if not optional]
    for name in ("level", "nothing", ""):
        with pytest.raises(ValueError, match=r"cannot be refused; what may be refused is alarms, events, pump, speed"):
            without(ALL, [name])


def test_a_refusal_says_that_it_was_refused_and_who_gives_it() -> None:
    some = without(ALL, ["speed", "events", "alarms", "pump"])
    grants = Grants("test.optional", some, refused=refused_needs(ALL, some))
    checks = {
        "speed": lambda: grants.check_point(PointPlace("m", "speed"), "read"),
        "alarms": lambda: grants.check_alarm("m"),
        "events": lambda: grants.check_publish("fault.x"),
        "pump": lambda: grants.check_invoke("pump.a"),
    }
    for name, check in checks.items():
        with pytest.raises(PermissionError, match=f"the optional permission '{name}' was refused"):
            check()
    with pytest.raises(PermissionError, match=r"ask for it in app\.toml"):
        grants.check_point(PointPlace("m", "other"), "read")
    with pytest.raises(PermissionError, match=r"ask for it in app\.toml"):
        grants.check_publish("other")
    with pytest.raises(PermissionError, match=r"ask for it in app\.toml"):
        grants.check_point(PointPlace("m", "speed"), "write")


@pytest.mark.parametrize(
    ("old", "new", "member", "says"),
    [
        ('name = "speed"\n', "", "needs.points[1].optional", "give it a name"),
        (f'name = "alarms"\noptional = true\n{REASON}', "optional = true", "needs.alarms.optional", "give it a name"),
        (f'"speed"\noptional = true\n{REASON}', '"speed"\noptional = true', "needs.points[1].optional", "say why"),
        ('name = "speed"', 'name = "level"', "needs.points[1].name", "something else"),
        ('name = "speed"', 'name = "Speed"', "needs.points[1].name", "matching regex"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_with_its_place(old: str, new: str, member: str, says: str) -> None:
    assert old in NEEDS
    with pytest.raises(ManifestError, match=says) as caught:
        parse_manifest(NEEDS.replace(old, new, 1).encode())
    assert (caught.value.member, caught.value.line > 0) == (member, True)


def test_alarms_cannot_be_optional_beside_rules() -> None:
    with pytest.raises(ManifestError, match="they cannot be refused"):
        parse_manifest((NEEDS + '[provides]\nrules = ["rules/a.yaml"]\n').encode())


OPTIONAL = NEEDS[NEEDS.index("[needs]") + len("[needs]") :]


def test_what_was_refused_stays_refused_until_somebody_grants_it(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def live() -> None:
        first = package("1.0.0", OPTIONAL)
        needs = parse_manifest(first.manifest).needs
        await world.life.install(ADMIN, first, granted_of(needs, ["speed"], None))
        app = world.records.get(APP)
        assert app is not None
        assert refused_names(needs, app.current.granted) == ["speed"]
        assert {one.name: one.granted for one in granted_permissions(needs, app.current.granted) if one.optional} == {
            "speed": False, "alarms": True, "events": True, "pump": True,
        }  # fmt: skip

        # An upgrade that asks for nothing more needs nobody; what was refused stays refused.
        second = package("1.1.0", OPTIONAL)
        same = granted_of(needs, None, app.current)
        assert refused_names(needs, same) == ["speed"]
        await world.life.install(ADMIN, second, same, consent=False)
        assert world.version() == "1.1.0"

        # One that asks for more waits, and nothing changes.
        more = OPTIONAL + '[[needs.points]]\npoint = "secret"\n'
        third = package("1.2.0", more)
        now = world.records.get(APP)
        assert now is not None
        asked = parse_manifest(third.manifest).needs
        proposed = proposed_permissions(asked, now.current)
        assert [one.line for one in proposed if one.new and one.granted] == ["read points 'secret' of assets '**'"]
        assert [one.name for one in proposed if not one.granted] == ["speed"]
        wanted = granted_of(asked, None, now.current)
        with pytest.raises(Problem, match="secret") as waits:
            await world.life.install(ADMIN, third, wanted, consent=False)
        assert (waits.value.status, waits.value.code) == (403, "not-granted")
        assert world.version() == "1.1.0"
        await world.life.install(ADMIN, third, wanted, consent=True)
        assert world.version() == "1.2.0"

        await world.life.grant(ADMIN, APP, ["alarms"])
        last = world.records.get(APP)
        assert last is not None
        assert refused_names(asked, last.current.granted) == ["alarms"]
        assert world.node.running == {APP: "1.2.0"}
        with pytest.raises(Problem, match="cannot be refused"):
            await world.life.grant(ADMIN, APP, ["level"])

    asyncio.run(live())


def test_a_fresh_app_without_consent_gets_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = package("1.0.0", OPTIONAL)
    with pytest.raises(Problem, match="tables of its own"):
        asyncio.run(world.life.install(ADMIN, first, parse_manifest(first.manifest).needs, consent=False))
    with pytest.raises(Problem, match="level"):
        asyncio.run(world.life.install(ADMIN, first, Needs(records=True)))
    assert world.version() == ""


APP_CODE = """\
from gongfu.appkit.contract import App, AppError, Context, Window

app = App()


@app.on("level", "speed", window="10s")
def watch(context: Context, window: Window) -> None:
    if context.granted("speed"):
        assert len(window["speed"])
    else:
        assert not len(window["speed"])
        try:
            context.latest(window.asset, "speed")
        except PermissionError as error:
            context.log(str(error))
    try:
        context.granted("typo")
    except AppError as error:
        context.log(str(error))
"""


def test_the_app_sees_what_was_granted_and_refusals_are_counted(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text(NEEDS)
    (tmp_path / "app.py").write_text(APP_CODE)
    logs: list[list[str]] = []
    for refused in ((), ("speed",)):
        bench = Bench.load(tmp_path, without=refused)
        bench.feed("m", {"level": [1.0], "speed": [2.0]}, [bench.now])
        bench.settle()
        logs.append(bench.log)
        assert len(bench.refused) == len(refused)
    typo = "info: nothing in app.toml has the name 'typo'"
    assert logs[0] == [typo]
    assert "the optional permission 'speed' was refused" in logs[1][0]
    assert logs[1][1:] == [typo]
    with pytest.raises(ValueError, match="cannot be refused"):
        Bench.load(tmp_path, without=["level"])
