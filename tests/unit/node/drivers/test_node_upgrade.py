"""The driver of upgrades where nothing restarts, and the files it shares with the launcher."""

from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client
from sqlalchemy import create_engine

from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node import launcher
from gongfu.node.drivers.context import DriverContext
from gongfu.node.drivers.node_upgrade import NodeUpgradeDriver, NodeUpgradeProbe
from gongfu.node.launcher import Trial
from gongfu.node.releases import Releases
from gongfu.node.runtime import MqttSettings, Runtime, TelemetrySettings, WebSettings
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall
from gongfu.tree.orders.verification import Sight

PAYLOAD = msgspec.Raw(b'{"version":"0.2.0","source":"/nowhere","wheels":{}}')
CALL = DriverCall(
    key="order-0001/target", order="order-0001", target="target", kind="node-upgrade", payload=PAYLOAD, attempt=1
)


def context(data_dir: Path, instance: str = "", bus: Client | None = None) -> DriverContext:
    runtime = Runtime(
        node="test",
        data_dir=str(data_dir),
        nats_servers=[],
        nats_token="",
        history_url="",
        history_user="",
        history_password="",
        records_url="",
        mqtt=MqttSettings(),
        web=WebSettings(),
        telemetry=TelemetrySettings(),
        instance=instance,
    )
    engine = create_engine("sqlite://")
    return DriverContext(engine, bus or Client(), runtime, Subjects("test"), SystemClock(), lambda *_: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "opt"
    for version in ("0.1.0", "0.2.0"):
        (root / "releases" / version).mkdir(parents=True)
    launcher.point_to(root, "0.1.0")
    return root


async def test_a_restart_that_nobody_does_leaves_everything_as_it_was(root: Path, tmp_path: Path, bus: Client) -> None:
    """Else the other version would come about with some later restart, although the order had failed."""
    launcher.write_trial(root, Trial(CALL.key, "0.1.0", "0.2.0", 60.0))
    done = await NodeUpgradeDriver(context(tmp_path, bus=bus), Releases(root)).run(CALL)
    assert not done.succeeded
    assert done.detail.startswith("back to 0.1.0: no restart: nobody serves ")
    assert launcher.current_version(root) == "0.1.0"
    trial = launcher.read_trial(root)
    assert trial is not None
    assert trial.outcome == launcher.RETURNED


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (launcher.KEPT, "", DriverResult(True, "0.1.0 → 0.2.0")),
        (launcher.RETURNED, "too slow", DriverResult(False, "back to 0.1.0: too slow")),
    ],
)
async def test_a_call_after_the_restart_tells_what_the_launcher_noted(
    root: Path, tmp_path: Path, outcome: str, reason: str, expected: DriverResult
) -> None:
    launcher.write_trial(root, Trial(CALL.key, "0.1.0", "0.2.0", 60.0, outcome, reason))
    assert await NodeUpgradeDriver(context(tmp_path), Releases(root)).run(CALL) == expected
    assert launcher.current_version(root) == "0.1.0", "it touches nothing"


async def test_who_cannot_be_upgraded_says_so(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launcher.RELEASES_VARIABLE, raising=False)
    done = await NodeUpgradeDriver(context(tmp_path)).run(CALL)
    assert (done.succeeded, "not started by the launcher" in done.detail) == (False, True)
    done = await NodeUpgradeDriver(context(tmp_path, "machine-2"), Releases(root)).run(CALL)
    assert done == DriverResult(False, "a node of several machines is not upgraded by an order")
    back = msgspec.structs.replace(CALL, key=f"{CALL.key}/rollback", rollback=True)
    done = await NodeUpgradeDriver(context(tmp_path), Releases(root)).run(back)
    assert done == DriverResult(True, "nothing was changed")


async def test_a_supervisor_that_tells_nothing_is_not_known(tmp_path: Path) -> None:
    call = ProbeCall(order="order-0001", target="target", kind="node-upgrade", payload=PAYLOAD, expected=Sight.PRESENT)
    assert (await NodeUpgradeProbe(context(tmp_path)).look(call)).sight is Sight.UNKNOWN


def test_a_note_that_cannot_be_read_is_none(root: Path) -> None:
    assert launcher.read_trial(root) is None
    for text in ("", "{", "[]", '{"key": "x"}'):
        (root / "trial.json").write_text(text)
        assert launcher.read_trial(root) is None
    trial = Trial("key", "0.1.0", "0.2.0", 60.0)
    launcher.write_trial(root, trial)
    assert launcher.read_trial(root) == trial
    assert sorted(path.name for path in root.iterdir()) == ["current", "releases", "trial.json"]
