"""The main journey against a running demo node: sign in, overview, inject a fault, alarm, acknowledge.

Development only. Run: ``.venv/bin/python console/dev/journey.py URL PASSWORD NEW_PASSWORD [zh|en]``; PASSWORD may
be the one-time password or the present one.
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

SHOTS = Path(__file__).resolve().parents[1] / ".shots"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WORDS = {
    "zh": {"inject": "注入 IDV 4", "clear": "撤除 IDV 4", "acknowledge": "确认", "wrong": "用户名或密码不正确"},
    "en": {
        "inject": "Inject IDV 4",
        "clear": "Clear IDV 4",
        "acknowledge": "Acknowledge",
        "wrong": "password is wrong",
    },
}


def sign_in(page: Page, url: str, password: str, fresh: str, words: dict[str, str], language: str) -> None:
    page.goto(url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", "not the password")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text(words["wrong"])
    page.screenshot(path=SHOTS / f"journey-{language}-1-wrong.png")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_selector("input[name=new], .shell", timeout=20_000)
    if page.locator("input[name=new]").count():
        page.screenshot(path=SHOTS / f"journey-{language}-2-change.png")
        page.fill("input[name=new]", fresh)
        page.fill("input[name=repeat]", fresh)
        page.click("button[type=submit]")
    page.wait_for_url(url + "/overview", timeout=20_000)
    page.wait_for_selector(".tile")
    page.wait_for_timeout(3000)
    page.screenshot(path=SHOTS / f"journey-{language}-3-overview.png")


def main() -> None:
    url, password, fresh = sys.argv[1:4]
    language = sys.argv[4] if len(sys.argv) > 4 else "zh"
    words = WORDS[language]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(
            viewport={"width": 1440, "height": 900},
            locale="zh-CN" if language == "zh" else "en-GB",
            timezone_id="Asia/Shanghai",
        )
        page.on("console", lambda m: print("console:", m.text[:300]) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: print("page error:", error))
        sign_in(page, url, password, fresh, words, language)
        page.goto(f"{url}/demo/nab")
        page.wait_for_selector(".trend canvas")
        page.wait_for_timeout(4000)
        page.screenshot(path=SHOTS / f"journey-{language}-4-nab.png")
        page.goto(f"{url}/demo/tep")
        began = time.monotonic()
        if page.get_by_role("button", name=words["clear"], exact=True).count():
            page.get_by_role("button", name=words["clear"], exact=True).click()
        inject = page.get_by_role("button", name=words["inject"], exact=True)
        expect(inject).to_be_enabled(timeout=20_000)
        page.screenshot(path=SHOTS / f"journey-{language}-5-before.png", full_page=True)
        inject.click()
        began = time.monotonic()
        expect(page.get_by_role("button", name=words["clear"], exact=True)).to_be_visible(timeout=20_000)
        print(f"in effect after {time.monotonic() - began:.1f} s")
        page.locator("li.fresh").first.wait_for(timeout=90_000)
        print(f"alarm after {time.monotonic() - began:.1f} s")
        page.wait_for_timeout(1500)
        page.screenshot(path=SHOTS / f"journey-{language}-6-alarm.png", full_page=True)
        page.get_by_role("button", name=words["acknowledge"], exact=True).first.click()
        page.fill(".el-dialog textarea", "journey")
        page.locator(".el-dialog button[type=submit]").click()
        page.wait_for_selector(".el-dialog", state="detached", timeout=15_000)
        page.get_by_role("button", name=words["clear"], exact=True).click()
        page.goto(f"{url}/alarms?view=all")
        page.locator("button.open").first.click()
        page.wait_for_timeout(1500)
        page.screenshot(path=SHOTS / f"journey-{language}-7-journal.png")
        browser.close()


if __name__ == "__main__":
    main()
