"""Points of every type reach an app as they are, and what it writes keeps its type: real process and host."""

import asyncio
from pathlib import Path

from gongfu.appkit.host.running import RunningApp
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from tests.contract.appkit.bed import Bed, Points, S, known

BIG = 2**53 + 1
MANIFEST = """\
[app]
id = "test.typed"
version = "1.0.0"
title = { zh = "型", en = "Typed" }
[needs]
routes = true
[[needs.points]]
point = "in *"
[[needs.points]]
point = "out *"
access = "write"
[resources]
cpu = 4.0
"""
CODE = """\
from gongfu.appkit.contract import App, AppError, Context, Request, Window

app = App()


@app.on("in *", window="10s", lateness="0s")
def watch(context: Context, window: Window) -> None:
    for name, kind in (("count", "int64"), ("running", ""), ("mode", ""), ("recipe", "json"), ("level", "")):
        samples = window["in " + name]
        bad = samples.qualities >= 0x80
        values = [None if lost else value for value, lost in zip(samples.values, bad)]
        context.write(window.asset, "out " + name, samples.times, values, type=kind)
    told = {name: str(samples.values.dtype) for name, samples in window.points.items()}
    window.state["kinds"] = told
    context.log(" ".join(f"{name}={kind}" for name, kind in sorted(told.items())))


@app.route("POST", "/wrong/{what}")
def wrong(context: Context, request: Request) -> object:
    given = {"text": ["a"], "fraction": [1.5], "float": [float(2**60)], "mixed": [1, "a"], "huge": [2**63]}
    try:
        context.write("m 1", "out known", [1], given[request.path["what"]])
    except AppError as error:
        return str(error)
    return "written"
"""


def test_every_type_comes_and_goes_exactly_with_its_quality(tmp_path: Path) -> None:
    bed = Bed(tmp_path, CODE, MANIFEST)
    kinds = {
        "in count": ValueType.INT64,
        "in running": ValueType.BOOLEAN,
        "in mode": ValueType.STRING,
        "in recipe": ValueType.JSON,
        "in level": ValueType.DOUBLE,
        "out known": ValueType.INT64,
    }
    bed.points = Points(*(known(n, "m 1", name, kind) for n, (name, kind) in enumerate(kinds.items(), 1)))
    bed.services.points = bed.points
    base = 9_000_000 * S
    times = [base + n * S for n in range(3)]
    good_bad = [0, int(Quality.BAD_NO_DATA), 0]
    stored = {
        ValueType.INT64: (1, times, [BIG, 0, -BIG], good_bad),
        ValueType.BOOLEAN: (2, times, [1, 0, 0], good_bad),
        ValueType.STRING: (3, times, ["manual", "", "自动 ✓"], good_bad),
        ValueType.JSON: (4, times, ['{"a": 1}', "null", "[]"], good_bad),
        ValueType.DOUBLE: (5, times, [1.5, float("nan"), 2.5], good_bad),
    }
    log: list[str] = []

    async def run() -> dict[str, str]:
        app: RunningApp = bed.app()
        await app.start()
        bed.log.append_columns(stored)
        bed.log.append_columns({ValueType.INT64: (1, [base + 100 * S], [7], [0])})
        async with asyncio.timeout(60):
            while ("m 1", "out level", times[-1]) not in bed.services.written:
                assert (told := await app.status()).failed == 0, told.error
                await asyncio.sleep(0.02)
        answers: dict[str, str] = {}
        for what in ("text", "fraction", "float", "mixed", "huge"):
            done = await app.call_route("POST", ["wrong", what], {}, b"", "u", "admin")
            answers[what] = done.body.decode()
        status = await app.status()
        log.append(status.error)
        await app.close()
        return answers

    answers = asyncio.run(run())
    assert log == [""]
    first = {point: [bed.services.written["m 1", point, time] for time in (times[0], times[2])]
             for point in ("out count", "out running", "out mode", "out recipe", "out level")}  # fmt: skip
    assert first == {
        "out count": [BIG, -BIG],
        "out running": [True, False],
        "out mode": ["manual", "自动 ✓"],
        "out recipe": ['{"a": 1}', "[]"],
        "out level": [1.5, 2.5],
    }
    assert {point.removeprefix("out "): kind for (_, point), kind in bed.services.types.items()} == {
        name.removeprefix("in "): kind for name, kind in kinds.items() if name.startswith("in ")
    }
    assert {tuple(qualities[:3]) for qualities in bed.services.qualities.values()} == {(0, Quality.BAD_NO_DATA, 0)}
    assert ("m 1", "out known", 1) not in bed.services.written
    assert "takes numbers" in answers["text"]
    assert "whole numbers" in answers["fraction"]
    assert "through a float" in answers["float"]
    assert "all numbers" in answers["mixed"]
    assert "beyond 64 bits" in answers["huge"]
