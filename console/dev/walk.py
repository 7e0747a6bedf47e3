"""Walk all pages in headless Chromium: screenshots, axe findings, policy violations, sideways scrolling.

Development only. Run: ``.venv/bin/python console/dev/walk.py http://127.0.0.1:8642 root root [--only word] [--quick]``
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

CONSOLE = Path(__file__).resolve().parents[1]
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAGES = {
    "overview": "/overview",
    "alarms": "/alarms",
    "alarm": "/alarms?view=all",
    "trend-empty": "/trend",
    "trend": "/trend?p=@pressure,@temperature,@level&r=15m",
    "assets": "/assets",
    "asset": "/assets?path=tep/reactor",
    "devices": "/devices",
    "device": "/devices/1",
    "rules": "/rules",
    "models": "/models",
    "sql": "/sql",
    "demo-tep": "/demo/tep",
    "demo-nab": "/demo/nab",
    "profile": "/administration/profile",
    "users": "/administration/users",
    "tenants": "/administration/tenants",
    "drops": "/administration/drops",
    "audit": "/administration/audit",
    "about": "/administration/about",
    "missing": "/nothing/here",
    "new-device": "/devices",
    "new-rule": "/rules",
    "chooser": "/trend",
    "custom-range": "/trend?p=@pressure&r=1h",
}


def address(page: Page, path: str) -> str:
    """Replace ``@words`` by the series of the first point that is found with these words."""

    def series(match: re.Match[str]) -> str:
        answer = page.evaluate(
            "async (q) => (await (await fetch('/v1/points?limit=1&search=' + encodeURIComponent(q))).json()).items[0]",
            match[1],
        )
        return str(answer["series"]) if answer else "1"

    return re.sub(r"@([^,&]+)", series, path)


def act(page: Page, name: str) -> None:
    """Bring a page into the state worth looking at."""
    if name == "alarm":
        page.locator("button.open").first.click()
        page.wait_for_timeout(600)
    if name in ("new-device", "new-rule", "chooser"):
        page.locator("main .el-button--primary").first.click()
        page.wait_for_timeout(900)
    if name == "custom-range":
        page.locator(".presets button").last.click()
        page.wait_for_timeout(400)
    if name == "sql":
        page.locator("form button[type=submit]").click()
        page.wait_for_timeout(600)
    if name == "trend":
        box = page.locator(".trend").bounding_box()
        if box:
            page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 150)


def axe(page: Page, source: str) -> list[dict[str, Any]]:
    page.evaluate(source)
    result = page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
    )
    return [
        {
            "id": v["id"],
            "impact": v["impact"],
            "count": len(v["nodes"]),
            "first": [n["html"][:160] for n in v["nodes"][:3]],
        }
        for v in result["violations"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("user")
    parser.add_argument("password")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true", help="wide zh and narrow en only")
    options = parser.parse_args()
    shots = CONSOLE / ".shots"
    shots.mkdir(exist_ok=True)
    source = (CONSOLE / "node_modules/axe-core/axe.min.js").read_text()
    findings = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for size, (width, height) in SIZES.items():
            for language in ("zh", "en"):
                if options.quick and (size, language) not in (("wide", "zh"), ("narrow", "en")):
                    continue
                theme = "dark" if (size, language) in (("wide", "en"), ("narrow", "zh")) else "light"
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    locale="zh-CN" if language == "zh" else "en-GB",
                    timezone_id="Asia/Shanghai",
                    color_scheme=theme,
                    bypass_csp=False,
                )
                page = context.new_page()
                errors: list[str] = []
                page.on("console", lambda m, e=errors: e.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda error, e=errors: e.append(str(error)))
                page.goto(options.url + "/sign-in")
                page.wait_for_selector("input[name=username]")
                page.screenshot(path=shots / f"signin-{size}-{language}.png")
                found = axe(page, source)
                page.fill("input[name=username]", options.user)
                page.fill("input[name=password]", options.password)
                page.click("button[type=submit]")
                page.wait_for_url("**/overview")
                page.wait_for_timeout(1500)
                for name, path in PAGES.items():
                    if options.only and options.only not in name:
                        continue
                    errors.clear()
                    page.goto(options.url + address(page, path))
                    page.wait_for_timeout(2500)
                    act(page, name)
                    page.screenshot(
                        path=shots / f"{name}-{size}-{language}.png", full_page=size == "wide" and name != "alarm"
                    )
                    sideways = page.evaluate("document.documentElement.scrollWidth > innerWidth")
                    found = axe(page, source)
                    raw = page.evaluate(
                        r"(document.body.innerText.match(/\b[a-z]+\.[a-z]+_[a-z_]+\b/g) || []).slice(0, 3)"
                    )
                    foreign = (
                        ""
                        if language == "zh"
                        else page.evaluate(
                            "(document.body.innerText.match(/[\\u4e00-\\u9fff]+/g) || []).slice(0, 3).join(' ')"
                        )
                    )
                    if found or sideways or errors:
                        findings += len(found) + len(errors) + sideways
                        print(f"{name} {size} {language} sideways={sideways}")
                        print("\n".join(json.dumps(item, ensure_ascii=False) for item in found))
                        print("\n".join(f"  console: {text[:300]}" for text in errors[:5]))
                    if raw or foreign:
                        print(f"{name} {size} {language} raw={raw} foreign={foreign}")
                context.close()
        browser.close()
    print(f"findings: {findings}")


if __name__ == "__main__":
    main()
