"""The console as a person uses it, in headless Chromium against the running demo, in both languages.

Sign-in → overview → trend → inject a fault → its alarm → acknowledge. With ``GONGFU_SCREENSHOTS=docs/img`` the
pictures of the documentation are taken anew.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.node import free_port
from tests.fixtures.console import PASSWORD, choose_password, take_picture
from tests.system.test_demo import START_S, Demo

# A browser, a node and a plant are more than two cores share well with other tests.
pytestmark = pytest.mark.alone

FAULT_S = 60_000


@dataclass(frozen=True)
class Words:
    """What the walk reads and presses, in one language."""

    locale: str
    language: str
    overview: str
    add_points: str
    inject: str
    clear: str
    acknowledge: str
    acknowledge_title: str


ENGLISH = Words(
    "en-US", "en", "Overview", "Add points", "Inject IDV 4", "Clear IDV 4", "Acknowledge", "Acknowledge alarms"
)
CHINESE = Words("zh-CN", "zh", "总览", "添加测点", "注入 IDV 4", "撤除 IDV 4", "确认", "确认告警")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("walk") / "data", free_port(), free_port())
    try:
        running.wait_until_told("Ctrl-C stops everything", START_S)
        yield running
    finally:
        running.interrupt()


def one_time_password(demo: Demo) -> str:
    line = next(line for line in demo.output().splitlines() if "sign in" in line)
    return line.split("sign in", 1)[1].split("(")[0].partition("/")[2].strip()


def sign_in(page: Page, demo: Demo, words: Words, first: bool) -> None:
    page.goto(demo.url)
    page.locator("input[type=password]").wait_for()
    take_picture(page, "sign-in", words.language)
    page.locator("input").nth(0).fill("admin")
    page.locator("input[type=password]").fill("wrong " + PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("input[type=password]").fill(one_time_password(demo) if first else PASSWORD)
    page.keyboard.press("Enter")
    if first:
        choose_password(page)
    page.wait_for_url(f"{demo.url}/overview")


def walk(page: Page, demo: Demo, words: Words, first: bool) -> None:
    sign_in(page, demo, words, first)
    expect(page.get_by_role("heading", level=1)).to_have_text(words.overview)
    expect(page.locator("main")).to_contain_text("door-1", timeout=20_000)
    page.wait_for_timeout(2000)
    take_picture(page, "overview", words.language)

    if os.environ.get("GONGFU_SCREENSHOTS"):
        page.wait_for_timeout(60_000)  # so that the pictures show more than a few seconds of trend
        page.goto(f"{demo.url}/demo/nab")
        page.locator("canvas").first.wait_for()
        page.wait_for_timeout(3000)
        take_picture(page, "machine", words.language)
    page.goto(f"{demo.url}/trend?r=5m")
    page.get_by_role("button", name=words.add_points).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("searchbox").or_(dialog.locator("input[type=text], input:not([type])")).first.fill(
        "reactor pressure"
    )
    dialog.locator("li", has_text="tep/reactor / pressure").locator("input[type=checkbox]").check()
    dialog.locator(".el-button--primary").click()
    page.locator(".uplot canvas, canvas").first.wait_for()
    assert "p=" in page.url, "the address must hold the view"
    page.wait_for_timeout(2500)
    take_picture(page, "trend", words.language)

    page.goto(f"{demo.url}/demo/tep")
    page.get_by_role("button", name=words.inject, exact=True).click()
    alarms = page.locator("div.alarms")
    button = alarms.get_by_role("button", name=words.acknowledge, exact=True).first
    button.wait_for(timeout=FAULT_S)
    expect(alarms).to_contain_text("tep/reactor")
    expect(page.get_by_role("button", name=words.clear, exact=True)).to_be_visible(timeout=20_000)
    page.wait_for_timeout(4000)
    take_picture(page, "demo", words.language)

    page.goto(f"{demo.url}/alarms")
    page.locator("tr", has_text="tep/reactor").get_by_role("button", name=words.acknowledge, exact=True).first.click()
    dialog = page.get_by_role("dialog", name=words.acknowledge_title)
    dialog.locator("textarea").fill("seen by the walk")
    take_picture(page, "acknowledge", words.language)
    dialog.get_by_role("button", name=words.acknowledge, exact=True).click()
    expect(dialog).to_be_hidden(timeout=20_000)
    page.wait_for_timeout(500)
    take_picture(page, "alarms", words.language)

    page.goto(f"{demo.url}/demo/tep")
    page.get_by_role("button", name=words.clear, exact=True).click()
    expect(page.get_by_role("button", name=words.inject, exact=True)).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=lambda words: words.language)
def test_a_person_finds_the_fault_and_acknowledges_its_alarm(demo: Demo, browser: Browser, words: Words) -> None:
    api = demo.api()
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale=words.locale)
    page = context.new_page()
    page.set_default_timeout(60_000)
    outside: list[str] = []
    failures: list[str] = []
    page.on(
        "request",
        lambda request: None if request.url.startswith((demo.url, "data:", "blob:")) else outside.append(request.url),
    )
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        walk(page, demo, words, first=words is ENGLISH)
    except Exception:
        page.screenshot(path=str(demo.data_dir / f"failure-{words.language}.png"))
        raise
    finally:
        context.close()
    assert outside == []
    assert failures == []
    acknowledged = [
        entry
        for alarm in api.items("/alarms", state="all")
        if alarm["asset_path"] == "tep/reactor"
        for entry in api.get(f"/alarms/{alarm['id']}")["journal"]
        if entry["comment"] == "seen by the walk"
    ]
    assert [entry["by"] for entry in acknowledged] == ["admin"] * (1 if words is ENGLISH else 2)
    api.close()


def test_the_narrow_console_does_not_scroll_sideways(demo: Demo, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    page = context.new_page()
    page.set_default_timeout(60_000)
    sign_in(page, demo, CHINESE, first=False)
    for path in (
        "overview",
        "alarms",
        "trend",
        "assets",
        "devices",
        "rules",
        "models",
        "sql",
        "tree",
        "orders",
        "demo/tep",
        "demo/nab",
    ):
        page.goto(f"{demo.url}/{path}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(800)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        if path in ("overview", "demo/tep"):
            take_picture(page, f"narrow-{path.replace('/', '-')}", CHINESE.language)
    context.close()
