"""The host against real processes of apps: windows, refusals, crashes, hostile apps; no window is lost nor changed."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gongfu.appkit.contract import Samples
from gongfu.appkit.developing.new import write_new_app
from gongfu.appkit.host.checkpoint import read_progress
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.host.running import RunningApp
from gongfu.appkit.host.status import State
from gongfu.kernel.errors import Problem
from tests.contract.appkit.bed import Bed, S

LIMIT_S = 120.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        done = False
        while not done:
            await asyncio.sleep(0.02)
            done = await condition()


async def vibration(bed: Bed, interrupt: Callable[[RunningApp, int], Awaitable[RunningApp]]) -> None:
    """Play 40 s of vibration: quiet, bad from 10 s to 25 s, quiet again; ``interrupt`` is called after each second."""
    app = bed.app()
    await app.try_out(migrate=True)
    await app.start()
    base = 9_000_000 * S
    random = np.random.default_rng(1)
    for second in range(40):
        times = [base + second * S + n * S // 20 for n in range(20)]
        strength = 8.0 if 10 <= second < 25 else 1.0
        bed.log.append(1, times, (strength * random.normal(size=20)).tolist())
        app = await interrupt(app, second)

    # The window that ends at 39 s is the last one that closes, its alarm the last thing the app does about it.
    async def all_done() -> bool:
        return any(at == base + 39 * S for _, _, at in bed.services.alarms)

    await until(all_done)
    await app.close()


def test_killing_process_and_host_in_the_middle_changes_no_alarm(tmp_path: Path) -> None:
    """State survives: the same windows, figures and alarms as without a crash, each once."""
    found: list[tuple[dict[tuple[str, str, int], float], list[tuple[str, bool, int]]]] = []

    async def undisturbed(app: RunningApp, second: int) -> RunningApp:
        return app

    for name in ("calm", "killed"):
        bed = Bed(tmp_path / name)
        write_new_app("vibration", bed.folder)
        bed.code = bed.folder / "vibration"

        async def killed(app: RunningApp, second: int, bed: Bed = bed) -> RunningApp:
            if second in (8, 12, 27):
                await until(lambda: _took(app, bed, second - 4))
                await until(lambda: _is_running(app))
                process = (await app.status()).process
                assert process > 0
                os.kill(process, signal.SIGKILL)
            if second in (14, 30):
                # The host is gone: what it had not stored is lost.
                await until(lambda: _took(app, bed, second - 4))
                await app.abandon()
                app = bed.app()
                await app.start()
            return app

        asyncio.run(vibration(bed, undisturbed if name == "calm" else killed))
        found.append((bed.services.written, bed.services.alarms))
    calm, disturbed = found
    assert disturbed == calm
    assert [active for _, active, _ in calm[1]].count(True) >= 1
    assert calm[1][-1][1] is False


async def _is_running(app: RunningApp) -> bool:
    return (await app.status()).process > 0


async def _took(app: RunningApp, bed: Bed, blocks: int) -> bool:
    return len(bed.log.blocks) - (await app.status()).lag_blocks >= blocks


HOSTILE = """\
import os
import time

from gongfu.appkit.contract import App, AppError, Context, Request, Window

app = App()


@app.on("*", window="1s", lateness="0s")
def watch(context: Context, window: Window) -> None:
    context.write(window.asset, "rms", [window.end], [float(window["vibration"].values[0])])
    if window["vibration"].values[0] == 13.0:
        os._exit(13)
    if window["vibration"].values[0] == 7.0:
        raise RuntimeError("seven")


@app.route("GET", "/read/{point}")
def read(context: Context, request: Request) -> object:
    return context.latest("m 1", request.path["point"]).values


@app.route("GET", "/do/{what}", role="operator")
def do(context: Context, request: Request) -> object:
    match request.path["what"]:
        case "loop":
            while True:
                pass
        case "exit":
            os._exit(3)
        case "files":
            return open("/etc/passwd").read()
        case "refuse":
            raise AppError(418, "short and stout")
        case "publish":
            context.publish("fault", "m 1", {}, time=1)
        case "large":
            return "x" * (5 << 20)
    return {"pid": os.getpid(), "environment": dict(os.environ), "caller": [request.user, request.role]}
"""


async def call(app: RunningApp, path: str, role: str = "operator") -> tuple[int, Any]:
    try:
        done = await app.call_route("GET", path.strip("/").split("/"), {}, b"", "ann", role)
    except Problem as problem:
        return problem.status, problem.detail
    return done.status, done.error or msgspec.json.decode(done.body)


def test_a_hostile_app_gets_nothing_and_stops_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongfu.appkit.host.running._BACKOFF_S", (0.05,))
    monkeypatch.setenv("GONGFU_TOKEN", "a secret of the node")

    async def live() -> None:
        bed = Bed(tmp_path, HOSTILE)
        app = bed.app()
        await app.start()

        async def runs_again(restarts: int) -> bool:
            found = await app.status()
            return found.restarts == restarts and found.state is State.RUNNING

        assert await call(app, "/read/vibration") == (200, [1.5])
        status, text = await call(app, "/read/secret")
        assert status == 500
        assert "app.toml" in text
        assert (await app.status()).refused[0].text.startswith("test.probe may not read 'secret'")
        assert (await call(app, "/do/nothing", "viewer"))[0] == 403
        assert (await call(app, "/nowhere"))[0] == 404
        status, told = await call(app, "/do/nothing")
        assert told["caller"] == ["ann", "operator"]
        assert "GONGFU_TOKEN" not in told["environment"]
        first = told["pid"]
        assert await call(app, "/do/refuse") == (418, "short and stout")
        status, text = await call(app, "/do/files")
        assert (status, "PermissionError" in text) == (500, True)
        assert "needs.events" in (await call(app, "/do/publish"))[1]
        assert "bytes, at most" in (await call(app, "/do/large"))[1]
        assert first == (await app.status()).process
        for restarts, what in enumerate(("loop", "exit"), 1):
            with monkeypatch.context() as hurry:
                hurry.setattr("gongfu.appkit.host.running.ROUTE_S", 1.0)
                assert (await call(app, f"/do/{what}"))[0] == 502
            await until(lambda restarts=restarts: runs_again(restarts))
        # A window that raises is counted and passed over; one that ends the process, after three attempts.
        for second, value in enumerate((7.0, 13.0, 1.0, 2.0)):
            bed.log.append(1, [(100 + second) * S], [value])

        async def all_taken() -> bool:
            found = await app.status()
            return found.windows >= 3 and found.lag_blocks == 0

        await until(all_taken)
        found = await app.status()
        assert (found.failed, found.given_up) == (1, 1)
        assert bed.services.written[("m 1", "rms", 103 * S)] == 1.0
        # The function asks for all points: what the app may not read is told.
        assert any("'secret'" in one.text and one.text.startswith("watch asks") for one in found.refused)
        await app.close()
        progress = read_progress(bed.state)
        assert progress is not None
        assert progress.positions == {0: 4}

    asyncio.run(live())


def test_a_window_outlasts_an_outage_of_the_node_and_faults_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time the node needs is not the app's, and a window pays for no crash but its own."""
    # Less than the node is waited for, and time enough for a window on a busy machine.
    monkeypatch.setattr("gongfu.appkit.host.running.WINDOW_S", 3.0)
    monkeypatch.setattr("gongfu.appkit.host.running._BACKOFF_S", (0.05,))

    async def live() -> None:
        bed = Bed(tmp_path, HOSTILE)
        app = bed.app()
        await app.start()
        bed.services.outage = 5
        bed.log.append(1, [100 * S, 101 * S], [5.0, 6.0])

        async def one() -> bool:
            return (await app.status()).windows >= 1

        await until(one)
        assert bed.services.outage == 0
        for second in range(1, 5):
            leaving = asyncio.create_task(call(app, "/do/exit"))
            bed.log.append(1, [(101 + second) * S], [float(second)])
            await leaving

            async def running() -> bool:
                return (await app.status()).state is State.RUNNING

            await until(running)

        async def five() -> bool:
            return (await app.status()).windows >= 5

        await until(five)
        found = await app.status()
        assert (found.failed, found.given_up) == (0, 0)
        assert {end for _, _, end in bed.services.written} >= {end * S for end in range(101, 106)}
        await app.close()

    asyncio.run(live())


def test_a_process_that_ends_while_the_node_has_no_answer_is_fed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongfu.appkit.host.running._BACKOFF_S", (0.05,))
    monkeypatch.setattr("gongfu.appkit.host.process._CLOSE_S", 0.1)

    async def live() -> None:
        bed = Bed(tmp_path, HOSTILE)
        app = bed.app()
        await app.start()
        bed.services.outage = 1_000_000

        async def asked() -> bool:
            return bed.services.outage < 1_000_000

        async def runs_again() -> bool:
            found = await app.status()
            return found.restarts == 1 and found.state is State.RUNNING

        async def written() -> bool:
            return ("m 1", "rms", 102 * S) in bed.services.written

        bed.log.append(1, [100 * S, 101 * S], [5.0, 6.0])
        await until(asked)
        os.kill((await app.status()).process, signal.SIGKILL)
        await until(runs_again)
        bed.services.outage = 0
        bed.log.append(1, [102 * S], [7.5])
        await until(written)
        assert bed.services.written[("m 1", "rms", 101 * S)] == 5.0
        assert (await app.status()).given_up == 0
        await app.close()

    asyncio.run(live())


LONG = """\
import time

from gongfu.appkit.contract import App, AppError, Context, Request

app = App()


@app.route("POST", "/sleep")
def sleep(context: Context, request: Request) -> str:
    time.sleep(1)
    return "slept"


@app.route("POST", "/raise")
def alarm(context: Context, request: Request) -> str:
    context.raise_alarm("late", "m 1", "late", time=1)
    return "raised"


@app.route("GET", "/all")
def all_of_it(context: Context, request: Request) -> str:
    try:
        context.latest("m 1", "vibration")
    except AppError as error:
        return f"{error.status} {error}"
    return "all"
"""


def test_a_call_that_nobody_waits_for_never_begins_and_a_long_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live() -> None:
        bed = Bed(tmp_path, LONG)
        app = bed.app()
        await app.start()
        sleeping = asyncio.create_task(app.call_route("POST", ["sleep"], {}, b"", "ann", "operator"))
        await asyncio.sleep(0)
        raising = asyncio.create_task(app.call_route("POST", ["raise"], {}, b"", "ann", "operator"))
        await asyncio.sleep(0)
        raising.cancel()
        assert (await sleeping).body == b'"slept"'
        texts = Samples(np.array([5 * S]), np.array(["x" * (65 << 20)], object), np.zeros(1, np.uint8))

        async def latest(known: object) -> Samples:
            return texts

        monkeypatch.setattr(bed.services, "latest", latest)
        told = await app.call_route("GET", ["all"], {}, b"", "ann", "viewer")
        assert b"413" in told.body
        assert b"ask for less" in told.body
        assert bed.services.alarms == []
        assert (await app.status()).restarts == 0
        await app.close()

    asyncio.run(live())


SLOW = """\
import time

from gongfu.appkit.contract import App, Context, Window

app = App()


@app.on("vibration", window="1s", lateness="0s")
def count(context: Context, window: Window) -> None:
    values = window["vibration"].values
    if values[0] == 9.0:
        time.sleep(2.5)
    context.write(window.asset, "rms", [window.end], [float(len(values))])
"""


def test_what_is_in_the_log_is_not_late_when_a_window_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows close by the clock only when nothing waits in the log."""
    monkeypatch.setattr("gongfu.appkit.windowing.IDLE_NS", S // 10)

    async def live() -> None:
        bed = Bed(tmp_path, SLOW)
        app = bed.app()
        await app.start()
        for at, value in ((100 * S, 9.0), (101 * S, 1.0), (101 * S + S // 2, 1.0)):
            bed.log.append(1, [at], [value])

        async def all_given() -> bool:
            return ("m 1", "rms", 102 * S) in bed.services.written

        await until(all_given)
        assert bed.services.written[("m 1", "rms", 102 * S)] == 2.0
        assert (await app.status()).late == 0
        await app.close()

    asyncio.run(live())


def test_a_job_that_ends_the_process_is_given_up_and_runs_again_at_its_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongfu.appkit.host.running._BACKOFF_S", (0.05,))

    async def live() -> None:
        head = "import os\nfrom gongfu.appkit.contract import App\napp = App()\n"
        bed = Bed(tmp_path, f"{head}@app.job(every='1s')\ndef end(context, run): os._exit(1)\n")
        monkeypatch.setattr(bed.services, "now", time.time_ns)
        app = bed.app()
        await app.start()

        async def twice() -> bool:
            return (await app.status()).given_up >= 2

        await until(twice)
        found = await app.status()
        assert found.error == "end: the process ended 3 times over it"
        assert found.restarts >= 5
        await app.close()

    asyncio.run(live())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("from gongfu.appkit.contract import App\napp = App(\n", r"SyntaxError.*app\.py, line 2"),
        ("import numpy\nnumpy.nothing\n", r"AttributeError.*app\.py, line 2"),
        ("x = 1\n", "no `app = App"),
        (
            "from gongfu.appkit.contract import App\napp = App()\n@app.on('a', window='1')\ndef f(c, w): ...\n",
            "duration",
        ),
        ("from gongfu.appkit.contract import App\napp = App()\n@app.health\ndef f(c): raise OSError('no')\n", "health"),
        ("import os\nos._exit(1)\n", "exited with code 1"),
    ],
)
def test_an_app_that_cannot_start_says_why_and_where(tmp_path: Path, code: str, says: str) -> None:
    bed = Bed(tmp_path, code)
    with pytest.raises(AppFailure, match=says):
        asyncio.run(bed.app().try_out(migrate=True))


def test_a_migration_that_fails_names_its_file(tmp_path: Path) -> None:
    bed = Bed(tmp_path, "from gongfu.appkit.contract import App\napp = App()\n")
    (bed.code / "migrations").mkdir()
    (bed.code / "migrations" / "0001_first.sql").write_text("CREATE TABLE a (x);\nCREATE TABEL b (x);\n")
    with pytest.raises(AppFailure, match=r"migrations/0001_first\.sql: near"):
        asyncio.run(bed.app().try_out(migrate=True))
