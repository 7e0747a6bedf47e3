"""Connections in the console, on a real node and a real Modbus machine: wizard, values, loss and return, a write;
certificates that a person judges, and a Sparkplug edge node that is asked for its birth.

With ``GONGFU_SCREENSHOTS=docs/img`` the pictures of the documentation are taken anew.
"""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, expect

from gongfu.connect.opcua.certificates import identity
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fixtures.console import LIMIT_MS, press, signed_in, take_picture
from tests.fixtures.modbus_machine import ModbusMachine, float_words, modbus_machine
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node

MAP = """name,register,unit,scale,every,writable,asset
温度,holding:10:float32,Cel,,0.5,,
Speed,holding:20,/min,0.5,0.5,yes,泵 1
Running,holding:21:uint16.0,,,0.5,,泵 1
Pressure,holding:30:float32:cdab,bar,,0.5,,
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("console-connections") / "data").start()
    signed_in(browser, made, "zh-CN", first=True).context.close()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def machine() -> Iterator[ModbusMachine]:
    with modbus_machine() as one:
        one.set(10, float_words(21.5))
        one.set(20, [2900, 1])
        one.set(30, float_words(4.25)[::-1])
        yield one


def test_a_machine_is_connected_lost_found_and_written_to(
    browser: Browser, node: Node, machine: ModbusMachine, tmp_path: Path
) -> None:
    expect.set_options(timeout=LIMIT_MS)
    page = signed_in(browser, node, "zh-CN", first=False)
    page.goto(f"{node.url}/connections")
    main = page.locator("main")
    expect(main).to_contain_text("还没有接入任何机器")
    press(page, "接入机器")

    page.fill("input[name=url]", f"modbus://127.0.0.1:{free_port()}/1")
    press(page, "测试连接")
    expect(main.get_by_role("alert")).to_contain_text("refuses connections")

    page.fill("input[name=url]", f"modbus://127.0.0.1:{machine.port}/1")
    page.fill("input[name=name]", "press-1")
    page.fill("input[name=asset]", "车间/press")
    page.locator("summary").click()
    file = tmp_path / "press.csv"
    file.write_text(MAP, encoding="utf-8")
    page.set_input_files("input[name=file-registers]", file)
    expect(page.locator("textarea[name=option-registers]")).to_have_value(re.compile("泵 1"))
    press(page, "测试连接")
    expect(main).to_contain_text("已连通")
    press(page, "查看测点")
    expect(main).to_contain_text("机器提供 4 个测点")
    expect(main).to_contain_text("21.5")
    take_picture(page, "connect-wizard", "zh")
    page.get_by_label("选择 Running").uncheck()
    press(page, "接入 3 个测点")
    page.wait_for_url(lambda url: url.rsplit("/", 1)[-1].isdigit())
    expect(main).to_contain_text("在线")
    expect(main).to_contain_text("1450")
    expect(main.locator("td", has_text="holding:20")).to_have_count(1)
    expect(main.locator("td", has_text="holding:21")).to_have_count(0)
    take_picture(page, "connection", "zh")

    form = page.locator("form", has=page.locator("select[name=point]"))
    form.locator("input[name=value]").fill("1500")
    form.get_by_role("button").click()
    page.locator(".el-message-box").get_by_role("button").last.click()
    expect(form.get_by_role("status")).to_contain_text("1500")
    assert machine.get(20)[0] == 3000

    machine.stop()
    expect(main).to_contain_text("等待重试")
    expect(main.get_by_role("alert").first).to_be_visible()
    narrow = signed_in(browser, node, "en-GB", first=False, width=390)
    narrow.goto(f"{node.url}/connections")
    expect(narrow.locator("main")).to_contain_text("Waiting to try again")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    take_picture(narrow, "connections-narrow", "en")
    machine.start()
    expect(main).to_contain_text("在线")

    press(page, "暂停")
    expect(main).to_contain_text("已暂停")
    press(page, "移除")
    page.locator(".el-message-box").get_by_role("button").last.click()
    page.wait_for_url(f"{node.url}/connections")
    expect(main).to_contain_text("还没有接入任何机器")


def _agree(page: Page) -> None:
    page.locator(".el-message-box").get_by_role("button").last.click()
    expect(page.locator(".el-message-box")).to_be_hidden()


def _certificate(name: str) -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(9))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_certificates_are_judged_by_a_person(browser: Browser, node: Node, tmp_path: Path) -> None:
    expect.set_options(timeout=LIMIT_MS)
    page = signed_in(browser, node, "en-GB", first=False, width=390)
    page.goto(f"{node.url}/connections/opcua")
    main = page.locator("main")
    expect(main).to_contain_text("has no certificate yet")
    wrong, file = tmp_path / "wrong.der", tmp_path / "press.der"
    wrong.write_bytes(b"no certificate")
    page.set_input_files("input[name=certificate]", wrong)
    press(page, "Trust")
    expect(main.get_by_role("alert")).to_contain_text("one certificate")
    file.write_bytes(_certificate("press 4"))
    page.set_input_files("input[name=certificate]", file)
    press(page, "Trust")
    row = main.locator("tr", has_text="press 4")
    expect(row).to_contain_text("Trusted")
    row.get_by_role("button", name="Trust no more").click()
    _agree(page)
    expect(row).to_contain_text("Not trusted")
    take_picture(page, "certificates-narrow", "en")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    row.get_by_role("button", name="Trust", exact=True).click()
    _agree(page)
    expect(row.get_by_role("button", name="Trust no more")).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    _agree(page)
    expect(row).to_have_count(0)

    mine = identity.load(node.data_dir / "secrets" / "connections" / identity.FOLDER, datetime.now(UTC))
    expect(main).to_contain_text(mine.uri)
    with page.expect_download() as waiting:
        press(page, "DER")
    assert Path(waiting.value.path()).read_bytes() == mine.certificate


def test_an_edge_node_is_asked_for_its_birth(browser: Browser, node: Node) -> None:
    expect.set_options(timeout=LIMIT_MS)
    page = signed_in(browser, node, "zh-CN", first=False)
    page.goto(f"{node.url}/connections/sparkplug")
    main = page.locator("main")
    expect(main).to_contain_text("还没有 Sparkplug 边缘节点")
    filters = {"publish_filters": ["spBv1.0/#"], "subscribe_filters": ["spBv1.0/#"]}
    answer = httpx.post(
        f"{node.url}/v1/devices",
        json={"name": "edge-1", **filters},
        headers={"Authorization": f"Bearer {node.token}"},
        timeout=60,
    )
    answer.raise_for_status()
    edge = paho.Client(CallbackAPIVersion.VERSION2, client_id="edge-1")
    edge.username_pw_set("edge-1", answer.json()["secret"])
    topic = "spBv1.0/车间/{}/边缘 1"
    edge.will_set(topic.format("NDEATH"), payload([M(4, 0, "bdSeq")]), 1)

    def birth() -> None:
        now = time.time_ns() // 1_000_000
        metrics = [M(4, 0, "bdSeq"), M(11, False, "Node Control/Rebirth"), M(10, 1.0, "设定")]
        edge.publish(topic.format("NBIRTH"), payload(metrics, now, 0))
        edge.publish(topic.format("DBIRTH") + "/press", payload([M(10, 2.0, "压力")], now, 1))

    def started(*_: Any) -> None:
        edge.subscribe(topic.format("NCMD"))
        birth()

    def commanded(*_: Any) -> None:
        birth()

    edge.on_connect, edge.on_message = started, commanded
    edge.connect("127.0.0.1", node.mqtt_port)
    edge.loop_start()
    try:
        row = main.locator("tr", has_text="边缘 1")
        expect(row).to_contain_text("在线")
        expect(row).to_contain_text("1 / 1 在线")
        row.get_by_role("button", name="重新上线").click()
        _agree(page)
        expect(page.locator(".el-message")).to_contain_text("已重新发送上线报文")
        row.get_by_role("button", name="写入测点").click()
        page.fill("input[name=metric]", "没有")
        page.fill("input[name=metric-value]", "3")
        form = page.locator("form", has=page.locator("input[name=metric]"))
        form.get_by_role("button", name="写入测点").click()
        _agree(page)
        expect(form.get_by_role("alert")).to_contain_text("上线报文中没有这个测点")
        take_picture(page, "sparkplug", "zh")
        page.set_viewport_size({"width": 390, "height": 900})
        row.locator("summary").click()
        expect(row).to_contain_text("press")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        edge.disconnect()
        edge.loop_stop()
