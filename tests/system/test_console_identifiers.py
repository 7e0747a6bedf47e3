"""Identifiers in the console, on a real node: template, prefix, file, range, application, workbench, operations.

With ``GONGFU_SCREENSHOTS=docs/img`` the pictures of the documentation are taken anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fixtures.console import press, signed_in, take_picture
from tests.fixtures.node import Node
from tests.system.test_identifier_node import IdentifierNode

# A QR code that says 99.168.1/泵-1.
PICTURE = Path(__file__).parent / "pictures" / "qr-pump.png"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentifierNode]:
    made = IdentifierNode(tmp_path_factory.mktemp("console-identifiers") / "data").configure()
    made.start()
    yield made
    made.kill()


def _draw_and_publish_a_template(page: Page, node: Node) -> None:
    page.goto(f"{node.url}/identifiers/templates")
    press(page, "新建模板")
    page.fill("input[name=name]", "pump")
    page.fill("input[name=zh]", "泵")
    for name in ("model", "power"):
        press(page, "添加属性")
        page.locator("fieldset.attribute").last.get_by_label("属性名").fill(name)
    second = page.locator("fieldset.attribute").last
    second.get_by_label("类型").select_option("decimal")
    second.get_by_label("单位（UCUM）").fill("kW")
    take_picture(page, "template", "zh")
    press(page, "保存草稿")
    press(page, "发布")
    page.locator(".el-message-box").get_by_role("button").last.click()
    expect(page.locator("main")).to_contain_text("已发布")


def _register(page: Page, node: IdentifierNode, folder: Path) -> None:
    page.goto(f"{node.url}/identifiers/register")
    press(page, "添加前缀")
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=prefix]").fill("99.168.1")
    dialog.locator("input[name=enterprise]").fill("青岛泵业有限公司")
    dialog.locator("input[name=industry]").fill("C34")
    press(page, "新建")
    expect(page.locator("main")).to_contain_text("青岛泵业有限公司")

    file = folder / "pumps.csv"
    file.write_text("suffix,model,power\n泵-1,IS80,7.5\n泵-2,IS100,eleven\n泵-3,IS80,22\n", encoding="utf-8")
    page.set_input_files("input[name=file]", file)
    page.locator("form input[name=template]").fill("pump")
    page.locator("form input[name=prefix]").first.fill("99.168.1")
    press(page, "开始登记")
    expect(page.locator("main")).to_contain_text("共 3 条，登记 2 条，未登记 1 条")
    expect(page.locator("ul.failed")).to_contain_text("不合模板")

    with node.client() as client:
        body = {"template": "pump", "attributes": {"model": "IS50"}, "title": "IS50 2026"}
        assert client.post("/identifiers/classes", json=body).status_code == 201
    page.reload()
    form = page.locator("form", has=page.locator("input[name=range]"))
    form.locator("input[name=prefix]").fill("99.168.1")
    form.locator("input[name=range]").fill("M{00000001..09999999}")
    expect(form).to_contain_text("9,999,999")
    form.locator("select[name=class]").select_option(index=1)
    press(page, "登记号段")
    expect(page.locator("main")).to_contain_text("新登记 9,999,999 个")
    take_picture(page, "register", "zh")


def _apply(page: Page, node: Node, folder: Path) -> None:
    page.goto(f"{node.url}/identifiers/applications")
    press(page, "新建申请")
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=name]").fill("济南机床厂")
    dialog.locator("input[name=credit_code]").fill("91350100M000100Y43")
    press(page, "保存")
    expect(page.locator("main")).to_contain_text("91350100M000100Y43")
    licence = folder / "licence.pdf"
    licence.write_bytes(b"%PDF-1.4\n")
    page.set_input_files("label.file input", licence)
    expect(page.get_by_role("link", name="licence.pdf")).to_be_visible()
    press(page, "提交")
    page.get_by_role("dialog").get_by_role("button", name="提交", exact=True).click()
    expect(page.locator("main")).to_contain_text("待审核")
    press(page, "通过")
    page.get_by_role("dialog").get_by_role("button", name="通过", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("申请人不能审核自己的申请")
    page.get_by_role("dialog").get_by_role("button", name="取消", exact=True).click()
    take_picture(page, "application", "zh")


def _look_up(page: Page, node: Node) -> None:
    page.goto(f"{node.url}/identifiers/workbench")
    page.set_input_files("input[type=file]", PICTURE)
    expect(page.locator("main")).to_contain_text("IS80")
    expect(page.locator("main")).to_contain_text("未签名")
    press(page, "签名")
    expect(page.locator("main")).to_contain_text("签名可信")
    take_picture(page, "workbench", "zh")
    page.fill("#identifier-box", "99.168.1/M00000042")
    press(page, "解析")
    expect(page.locator("main")).to_contain_text("号段成员")
    page.fill("#identifier-box", "99.168.1/M10000000")
    press(page, "解析")
    expect(page.locator("main")).to_contain_text("未找到")


def test_identifiers_in_the_console(node: IdentifierNode, browser: Browser, tmp_path: Path) -> None:
    page = signed_in(browser, node, "zh-CN", first=True)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"{node.url}/identifiers")
    expect(page.locator("main")).to_contain_text("本节点尚未启用标识服务")
    node.cli("id", "init", "--prefix", "99.168")
    page.reload()
    expect(page.locator("main")).to_contain_text("已注册标识")
    _draw_and_publish_a_template(page, node)
    _register(page, node, tmp_path)
    _apply(page, node, tmp_path)
    _look_up(page, node)
    page.goto(f"{node.url}/identifiers/operations")
    # The service asks itself how long an answer takes.
    expect(page.locator("main .tile", has_text="时延 p99")).to_contain_text(re.compile(r"\d\.\d\d\s*ms"))
    expect(page.locator("main")).to_contain_text("不在树中")
    take_picture(page, "operations", "zh")
    page.goto(f"{node.url}/identifiers")
    expect(page.locator("main")).to_contain_text("10,000,001")
    take_picture(page, "identifiers", "zh")

    narrow = signed_in(browser, node, "en-US", first=False, width=390)
    narrow.on("pageerror", lambda error: failures.append(str(error)))
    for part in ("", "/workbench?q=99.168.1/M00000042", "/applications", "/templates", "/register", "/operations"):
        narrow.goto(f"{node.url}/identifiers{part}")
        expect(narrow.get_by_role("heading", level=1)).to_have_text("Identifiers")
        expect(narrow.locator("main .panel, main .tile").first).to_be_visible()
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 390, part
    take_picture(narrow, "identifiers-narrow", "en")
    assert failures == []
