"""Thing models in the console, on a real node: files are imported with their report, published, compared, exported.

With ``GONGFU_SCREENSHOTS=docs/img`` the pictures of the documentation are taken anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fixtures.console import LIMIT_MS, press, signed_in, take_picture
from tests.fixtures.node import Node

TABLE = """model,name,data_type,unit,minimum,maximum,choices,writable,required,title_zh,title_en
泵,flow,double,m3/h,0,{limit},,,yes,流量,Flow
泵,speed,double,/min,0,1480,,yes,,转速,Speed
泵,state,string,,,,run|stop,,,状态,State
"""
THING = {
    "@context": "https://www.w3.org/2022/wot/td/v1.1",
    "id": "urn:example:lamp",
    "title": "Lamp",
    "securityDefinitions": {"nosec": {"scheme": "nosec"}},
    "security": "nosec",
    "properties": {"level": {"type": "integer", "minimum": 0, "maximum": 100, "forms": [{"href": "/level"}]}},
    "actions": {"toggle": {"forms": [{"href": "/toggle"}]}},
    "events": {"overheating": {"data": {"type": "number"}, "forms": [{"href": "/oh"}]}},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("console-thing-models") / "data").start()
    yield made
    made.kill()


def _agree(page: Page) -> None:
    page.locator(".el-message-box").get_by_role("button").last.click()


def _read(page: Page, file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")
    page.set_input_files("input[name=model-file]", file)
    press(page, "读取文件")


def test_a_model_is_imported_published_compared_and_exported(browser: Browser, node: Node, tmp_path: Path) -> None:
    expect.set_options(timeout=LIMIT_MS)
    page = signed_in(browser, node, "zh-CN", first=True)
    page.goto(f"{node.url}/thing-models")
    main = page.locator("main")
    expect(main).to_contain_text("还没有物模型")
    press(page, "导入")

    _read(page, tmp_path / "wrong.csv", "model,name,data_type\n泵,flow,complex\n")
    expect(main.get_by_role("alert")).to_contain_text("complex")

    _read(page, tmp_path / "lamp.td.json", json.dumps(THING))
    expect(main).to_contain_text("W3C WoT（TD、TM）”读出 1 个模型")
    expect(main.locator(".left-out")).to_contain_text("forms")
    take_picture(page, "thing-model-import", "zh")
    page.check("input[name=publish]")
    press(page, "保存 1 个模型")
    expect(main.get_by_role("link", name="Lamp@1").first).to_be_visible()

    page.uncheck("input[name=publish]")
    _read(page, tmp_path / "pump.csv", TABLE.format(limit=120))
    expect(main).to_contain_text("没有略去")
    press(page, "保存 1 个模型")
    main.get_by_role("link", name="泵@1").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("泵@1")
    expect(main).to_contain_text("草稿")
    press(page, "发布")
    _agree(page)
    expect(main.get_by_role("button", name="停用", exact=True)).to_be_visible()

    page.fill("input[name=asset-path]", "车间/泵 7")
    press(page, "设为 泵@1")
    expect(main.get_by_role("link", name="车间/泵 7")).to_be_visible()

    # A stricter bound is a breaking change.
    page.goto(f"{node.url}/thing-models")
    expect(main.locator("tr", has_text="泵@1")).to_contain_text("已发布")
    take_picture(page, "thing-models", "zh")
    press(page, "导入")
    _read(page, tmp_path / "stricter.csv", TABLE.format(limit=90))
    press(page, "保存 1 个模型")
    main.get_by_role("link", name="泵@2").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("泵@2")
    press(page, "比较")
    expect(main).to_contain_text("有不兼容的变化")
    expect(main.locator("td", has_text="properties.flow.maximum")).to_have_count(1)
    take_picture(page, "thing-model", "zh")

    endings = {"json": "json", "wot": "tm.jsonld", "aas": "aas.json", "nodeset": "NodeSet2.xml", "csv": "csv"}
    for form, ending in endings.items():
        with page.expect_download() as waiting:
            page.locator(f"button[data-format={form}]").click()
        assert waiting.value.suggested_filename == f"泵@2.{ending}"
        assert "flow" in Path(waiting.value.path()).read_text(encoding="utf-8-sig")

    narrow = signed_in(browser, node, "en-GB", first=False, width=390)
    for place, seen in (("", "泵@1"), ("/Lamp", "overheating"), ("/泵@2", "/min")):
        narrow.goto(f"{node.url}/thing-models{place}")
        expect(narrow.locator("main")).to_contain_text(seen)
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    narrow.wait_for_load_state("networkidle")
    take_picture(narrow, "thing-model-narrow", "en")
    narrow.goto(f"{node.url}/thing-models/nothing")
    expect(narrow.locator("main").get_by_role("alert")).to_contain_text("Not there")
