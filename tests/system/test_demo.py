"""The demo as a user starts it: one command, two devices, a fault injected over the API, its alarm."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.api import Api
from demo.identifiers import OPERATOR, PUMP, PUMPS
from demo.node import free_port
from demo.provision import EVENT_KIND, MACHINE, MACHINE_DEVICE, MODEL, MODEL_ASSET, PLANT_DEVICE
from demo.tep.variables import ASSETS

START_S = 120.0
ALARM_S = 30.0


class Demo:
    """``python -m demo`` as a child process."""

    def __init__(self, data_dir: Path, web_port: int, mqtt_port: int) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{web_port}"
        self._log = data_dir.with_suffix(".log").open("w+b")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "demo", "--data-dir", str(data_dir)),
                *("--web-port", str(web_port), "--mqtt-port", str(mqtt_port), "--websocket-port", "0"),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def output(self) -> str:
        self._log.flush()
        return self.data_dir.with_suffix(".log").read_text()

    def wait_until_told(self, text: str, timeout: float) -> str:
        wait_for(lambda: text in self.output() or self._process.poll() is not None, timeout, self.output)
        assert text in self.output()
        return self.output()

    def api(self) -> Api:
        return Api(self.url, (self.data_dir / "secrets" / "cli-token").read_text().strip())

    def interrupt(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(60.0)
        finally:
            self._process.kill()
            self._log.close()


def wait_for(condition: Callable[[], Any], timeout: float, explain: Callable[[], Any] = str) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo") / "data", free_port(), free_port())
    try:
        running.wait_until_told("Ctrl-C stops everything", START_S)
        yield running
    finally:
        running.interrupt()


@pytest.fixture(scope="module")
def api(demo: Demo) -> Iterator[Api]:
    client = demo.api()
    yield client
    client.close()


def device(api: Api, name: str) -> dict[str, Any]:
    return next(item for item in api.items("/devices", search=name) if item["name"] == name)


def points(api: Api, path: str) -> dict[str, dict[str, Any]]:
    asset = next(item for item in api.items("/assets", path=path) if item["path"] == path)
    return {item["name"]: item for item in api.items("/points", asset=asset["id"])}


def alarms(api: Api, name: str) -> list[dict[str, Any]]:
    return [alarm for alarm in api.items("/alarms", state="all") if alarm["rule_name"] == name]


def test_the_printed_password_signs_in(demo: Demo) -> None:
    output = demo.output()
    line = next(line for line in output.splitlines() if "sign in" in line)
    name, _, password = line.split("sign in", 1)[1].split("(")[0].partition("/")
    answer = httpx.post(
        f"{demo.url}/v1/session",
        json={"username": name.strip(), "password": password.strip()},
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["must_change_password"] is True
    assert demo.url in output


def test_52_variables_with_units_arrive(api: Api) -> None:
    wait_for(lambda: points(api, "tep/reactor").get("temperature", {}).get("unit"), 60.0)
    wait_for(lambda: points(api, "tep/product").get("h", {}).get("unit"), 60.0)
    found = points(api, "tep/reactor")
    assert found["temperature"]["unit"] == "Cel"
    assert found["temperature"]["latest"]["value"] == pytest.approx(120.4, abs=0.5)
    assert found["pressure"]["unit"] == "kPa"
    counted = sum(
        len(points(api, f"tep/{name}")) for name in ("feed", "separator", "stripper", "compressor", "product")
    )
    assert counted + len(found.keys() - {"heat_duty", "cooling_water_inlet_temperature", "cooling_residual"}) == 52
    assert device(api, PLANT_DEVICE)["online"] is True


def test_the_pages_of_identifiers_are_alive(demo: Demo, api: Api) -> None:
    demo.wait_until_told("  ids ", 90.0)
    overview = api.get("/identifiers")
    assert overview["registered"]["total"] == PUMPS + 9999 + len(ASSETS)
    assert (overview["today"]["real"], overview["today"]["replayed"]) == (20, 10)
    found = api.get("/identifiers/record", handle=f"{OPERATOR}/tep/reactor")
    assert found["attributes"]["asset"] == "tep/reactor"
    reactor = next(item for item in api.items("/assets", path="tep/reactor") if item["path"] == "tep/reactor")
    assert reactor["attributes"]["identifier"] == found["handle"]
    assert [one["state"] for one in api.items("/identifiers/applications")] == ["submitted"]
    assert len(api.post("/identifiers:timeline", {"thing": PUMP})["events"]) >= 6
    traced = api.post("/identifiers:trace", {"thing": PUMP, "direction": "backward"})["backward"]["things"]
    assert len(traced) >= 3


def test_the_model_runs_on_the_reactor(api: Api) -> None:
    models = api.get("/models")
    model = next(m for m in (models["items"] if isinstance(models, dict) else models) if m["id"] == MODEL)
    assert [binding["asset_path"] for binding in model["bindings"]] == [MODEL_ASSET]
    residual = wait_for(lambda: points(api, MODEL_ASSET).get("cooling_residual", {}).get("latest"), 60.0)
    assert abs(residual["value"]) < 1.0
    assert points(api, MODEL_ASSET)["cooling_residual"]["unit"] == "K"


def test_an_injected_fault_raises_its_alarm_and_returns(api: Api) -> None:
    name = "TEP reactor cooling residual high"
    assert alarms(api, name) == []
    plant = device(api, PLANT_DEVICE)["id"]
    began = time.monotonic()
    sent = api.post(
        f"/devices/{plant}:send",
        {"payload": '{"method":"setDisturbance","params":{"number":4,"active":true}}'},
    )
    assert sent["delivered"] is True
    alarm = wait_for(lambda: alarms(api, name), ALARM_S)[0]
    assert time.monotonic() - began < ALARM_S
    assert alarm["state"] == "unacknowledged_active"
    assert alarm["value"] > 2.5
    wait_for(lambda: points(api, "tep")["idv_4"]["latest"]["value"] is True, 10.0)
    acknowledged = api.post(f"/alarms/{alarm['id']}:acknowledge", {"comment": "seen"})
    assert acknowledged is None or acknowledged["state"] == "acknowledged_active"
    api.post(
        f"/devices/{plant}:send",
        {"payload": '{"method":"setDisturbance","params":{"number":4,"active":false}}'},
    )
    wait_for(lambda: alarms(api, name)[0]["state"] == "closed", ALARM_S, lambda: alarms(api, name))


def test_the_recorded_machine_is_replayed_with_its_failures_and_alarms(api: Api) -> None:
    events = [event for event in api.items("/events", asset=MACHINE) if event["kind"] == EVENT_KIND]
    assert len(events) == 4
    last = "2014-02-19T15:25:00"

    def ended() -> bool:
        latest = points(api, MACHINE).get("temperature", {}).get("latest")
        return bool(latest) and latest["time"].startswith(last)

    wait_for(ended, 150.0)
    stored = {
        "points": [{"asset": MACHINE, "point": "temperature"}],
        "from": "2013-12-01T00:00:00Z",
        "to": "2014-03-01T00:00:00Z",
        "limit": 100_000,
    }
    wait_for(lambda: len(api.post("/series:query", stored)["series"][0]["times"]) == 22_683, 30.0)
    wait_for(lambda: len(alarms(api, "NAB machine temperature low")) == 8, 30.0)
    assert len(alarms(api, "NAB machine temperature collapses")) == 1
    wait_for(lambda: device(api, MACHINE_DEVICE)["online"] is False, 30.0)


def test_a_second_start_changes_nothing_and_goes_on(demo: Demo, api: Api) -> None:
    rules = sorted(rule["name"] for rule in api.items("/rules"))
    demo.interrupt()
    again = Demo(demo.data_dir, int(demo.url.rpartition(":")[2]), free_port())
    try:
        output = again.wait_until_told("Ctrl-C stops everything", START_S)
        assert "with the password you chose" in output
        second = again.api()
        assert sorted(rule["name"] for rule in second.items("/rules")) == rules
        assert len([event for event in second.items("/events", asset=MACHINE) if event["kind"] == EVENT_KIND]) == 4
        wait_for(lambda: "temperature" in points(second, "tep/reactor"), 20.0)
        before = points(second, "tep/reactor")["temperature"]["latest"]["time"]
        wait_for(lambda: points(second, "tep/reactor")["temperature"]["latest"]["time"] > before, 20.0)
        second.close()
    finally:
        again.interrupt()
