"""The roll-up console on two real nodes: found, join, drill down, order, accept, and see it verified; nothing reloaded.

The nation's console is read in Chinese, the site's in English. With ``GONGFU_SCREENSHOTS=docs/img`` the pictures of
the documentation are taken anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.node import NodeProcess, Ports, free_port, write_configuration
from tests.fixtures.console import LIMIT_MS, choose_password, take_picture


@dataclass
class Person:
    """Somebody in front of a node's console, and what their browser complained of."""

    node: NodeProcess
    page: Page
    outside: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])

    def open(self, path: str) -> None:
        self.page.goto(self.node.url + path)
        self.page.get_by_role("heading", level=1).wait_for()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    root = tmp_path_factory.mktemp("console-tree")
    made = (_node(root / "nation"), _node(root / "site"))
    try:
        for node in made:
            node.start(180.0)
        yield made
    finally:
        for node in reversed(made):
            node.stop()


def _node(directory: Path) -> NodeProcess:
    directory.mkdir()
    ports = Ports(free_port(), free_port())
    tree = f"\n[tree]\njoin_port = {free_port()}\nleaf_port = {free_port()}\n"
    write_configuration(directory / "gongfu.toml", directory / "data", ports, extra=tree)
    return NodeProcess(directory / "data", directory / "gongfu.toml", ports)


def _signed_in(browser: Browser, node: NodeProcess, locale: str) -> Person:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale=locale)
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    person = Person(node, page)
    own = (node.url, "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(own) else person.outside.append(asked.url))
    page.on("pageerror", lambda error: person.failures.append(str(error)))
    line = next(line for line in node.banner if "sign in" in line)
    page.goto(node.url)
    page.fill("input[name=username]", "admin")
    page.fill("input[type=password]", line.split("sign in", 1)[1].split("(")[0].partition("/")[2].strip())
    page.keyboard.press("Enter")
    choose_password(page)
    page.wait_for_url(f"{node.url}/overview")
    return person


def _found_and_join(nation: Person, site: Person) -> None:
    nation.open("/tree")
    expect(nation.page.locator("main")).to_contain_text("本节点尚未加入任何树")
    nation.page.fill("input[name=root-name]", "国家平台")
    nation.page.fill("input[name=root-tier]", "nation")
    nation.page.fill("input[name=root-prefix]", "88")
    nation.press("建立新的根节点")
    expect(nation.page.get_by_role("heading", level=1)).to_have_text("国家平台", timeout=LIMIT_MS)

    site.open("/tree")
    site.page.fill("textarea[name=token]", "gfj1.not-a-token")
    site.page.fill("input[name=join-name]", "Site one")
    site.press("Join with a token")
    expect(site.page.get_by_role("alert")).to_contain_text("token", ignore_case=True, timeout=LIMIT_MS)

    nation.press("签发令牌")
    dialog = nation.page.get_by_role("dialog")
    dialog.locator("input[name=tier]").fill("site")
    dialog.locator("input[name=prefix]").fill("88.1")
    dialog.get_by_role("button", name="签发令牌", exact=True).click()
    token = dialog.locator("textarea[readonly]")
    token.wait_for()
    site.page.fill("textarea[name=token]", token.input_value())
    nation.press("我已保存")
    site.press("Join with a token")
    expect(site.page.get_by_role("heading", level=1)).to_have_text("Site one", timeout=LIMIT_MS)


def _drill_down(nation: Person, site: Person) -> None:
    row = nation.page.locator("#below tr", has_text="Site one")
    row.wait_for()
    expect(row).to_contain_text("1/1 个节点", timeout=LIMIT_MS)
    expect(row).to_contain_text("正常", timeout=LIMIT_MS)
    take_picture(nation.page, "tree", "zh")
    row.get_by_role("link", name="Site one").click()
    expect(nation.page.get_by_role("heading", level=1)).to_have_text("Site one")
    there = nation.page.get_by_role("link", name="在“Site one”的控制台打开设备")
    expect(there).to_have_attribute("href", f"{site.node.url}/devices", timeout=LIMIT_MS)


def _order_and_accept(nation: Person, site: Person) -> None:
    site.open("/orders")
    nation.open("/orders/new")
    nation.page.select_option("select[name=kind]", "notice")
    fields = nation.page.locator("form section").first
    fields.locator("input").first.fill("勒索病毒预警")
    fields.locator("textarea").first.fill("请断开远程维护端口")
    nation.page.fill("input[name=tiers]", "site")
    expect(nation.page.locator("main")).to_contain_text("1 个目标", timeout=LIMIT_MS)
    nation.press("保存草稿")
    nation.press("下达")
    nation.page.locator(".el-message-box").get_by_role("button").last.click()
    expect(nation.page.locator("#targets")).to_contain_text("已送达", timeout=LIMIT_MS)

    site.press("Accept")
    expect(nation.page.locator("#targets")).to_contain_text("探针已核实", timeout=LIMIT_MS)
    expect(nation.page.locator("#targets")).to_contain_text("自称已执行")
    expect(nation.page.locator(".tiers")).to_contain_text("1/1 已有结果")
    take_picture(nation.page, "order", "zh")


def test_people_found_a_tree_and_see_an_order_verified(
    nodes: tuple[NodeProcess, NodeProcess], browser: Browser
) -> None:
    nation, site = (_signed_in(browser, node, locale) for node, locale in zip(nodes, ("zh-CN", "en-US"), strict=True))
    try:
        _found_and_join(nation, site)
        _drill_down(nation, site)
        _order_and_accept(nation, site)
        order = nation.page.url.removeprefix(nation.node.url)
        nation.open("/reports?kind=node-live")
        expect(nation.page.locator("main")).to_contain_text("2/2 个节点已上报", timeout=LIMIT_MS)
        nation.page.set_viewport_size({"width": 390, "height": 844})
        for path in (
            "/tree",
            "/orders",
            order,
            "/orders/new",
            "/orders/rollouts",
            "/reports",
            "/reports?kind=node-live",
        ):
            nation.open(path)
            nation.page.wait_for_timeout(800)
            assert nation.page.evaluate("document.documentElement.scrollWidth") <= 390, path
    except Exception:
        for person in (nation, site):
            person.page.screenshot(path=str(person.node.data_dir / "failure.png"))
        raise
    assert (nation.outside, nation.failures, site.outside, site.failures) == ([], [], [], [])
    nation.page.context.close()
    site.page.context.close()
