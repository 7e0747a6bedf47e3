"""What an administrator refused reaches no app: neither in windows nor when it asks; it is counted and told."""

import asyncio
from pathlib import Path

from tests.contract.appkit.bed import Bed, Points, S, known

MANIFEST = """\
[app]
id = "test.optional"
version = "1.0.0"
title = { zh = "选", en = "Optional" }
[needs]
routes = true
[[needs.points]]
point = "level"
[[needs.points]]
point = "speed"
name = "speed"
optional = true
reason = { zh = "更准", en = "More exact" }
[[needs.points]]
point = "seen"
access = "write"
"""
CODE = """\
from gongfu.appkit.contract import App, Context, Request, Window

app = App()


@app.on("level", "speed", window="1s", lateness="0s")
def watch(context: Context, window: Window) -> None:
    context.write(window.asset, "seen", [window.end], [" ".join(sorted(window.points))])


@app.route("GET", "/granted")
def granted(context: Context, request: Request) -> object:
    return context.granted("speed")


@app.route("GET", "/speed")
def speed(context: Context, request: Request) -> object:
    return context.latest("m 1", "speed").values
"""


def test_what_is_refused_is_not_given_and_counted(tmp_path: Path) -> None:
    found: dict[tuple[str, ...], tuple[str, bytes, int, list[str]]] = {}

    async def run(folder: Path, refused: tuple[str, ...]) -> None:
        bed = Bed(folder, CODE, MANIFEST)
        bed.points = Points(known(1, "m 1", "level"), known(2, "m 1", "speed"))
        bed.services.points = bed.points
        bed.refused = refused
        app = bed.app()
        await app.start()
        base = 9_000_000 * S
        for series in (1, 2):
            bed.log.append(series, [base], [1.0])
        bed.log.append(1, [base + 10 * S], [1.0])
        async with asyncio.timeout(60):
            while ("m 1", "seen", base + S) not in bed.services.written:
                assert (told := await app.status()).failed == 0, told.error
                await asyncio.sleep(0.02)
        answer = (await app.call_route("GET", ["granted"], {}, b"", "u", "admin")).body
        asked = await app.call_route("GET", ["speed"], {}, b"", "u", "admin")
        status = await app.status()
        await app.close()
        seen = str(bed.services.written["m 1", "seen", base + S])
        found[refused] = (seen, answer, len(asked.error), [one.text for one in status.refused])

    for refused in ((), ("speed",)):
        folder = tmp_path / f"bed{len(refused)}"
        folder.mkdir()
        asyncio.run(run(folder, refused))
    assert found[()] == ("level speed", b"true", 0, [])
    seen, answer, error, texts = found["speed",]
    assert (seen, answer, error > 0) == ("level", b"false", True)
    assert len(texts) == 2
    assert all("the optional permission 'speed' was refused" in text for text in texts)
