"""Models in confined processes: hostile FMUs and Python, wrong answers, restarts, states; the caller always lives."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gongfu.confine import landlock
from gongfu.confine.types import MIB
from gongfu.reason.models.sandbox import process as sandbox
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import HELD, FailureReason, Limits, ModelFailure, Outcome, Rows
from tests.fixtures.fmus import Fmus

SECOND = 10**9
HEAD = "import os, time, sys\nimport numpy as np\nfrom gongfu.appkit.contract import Port, model\n"
DECLARE = "@model(id='t.m', version='1.0.0', inputs=[Port('do', '1')], outputs=[Port('answer', '1')])\n"

Start = Callable[..., ModelProcess]


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[ModelProcess] = []

    def make(kind: str, artifact: Path | str, **limits: Any) -> ModelProcess:
        if isinstance(artifact, str):
            text, artifact = artifact, tmp_path / f"model{len(started)}"
            artifact.write_text(HEAD + text)
        found = ModelProcess(kind, artifact, tmp_path / f"scratch{len(started)}", None, Limits(**limits))
        started.append(found)
        return found

    yield make
    for each in started:
        await each.close()


def rows(column: list[float], first: int = 0, state: bytes | None = None, **more: list[float]) -> Rows:
    n = len(column)
    given = {name: np.array(values, dtype=float) for name, values in ({"do": column} | more).items()}
    times = (first + np.arange(n)) * SECOND
    return Rows(np.array([5]), np.array([0, n]), times, given, np.ones(n), [state])


async def failure(model: ModelProcess, do: float = 0.0) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await model.evaluate(rows([do]))
    return caught.value


HOSTILE = [
    (1, FailureReason.CPU, "more than 0.5 s of CPU time"),
    (2, FailureReason.MEMORY, "it had used up its memory"),
    (3, FailureReason.CRASHED, "SIGSEGV"),
    (4, FailureReason.RAISED, "step to 1 s: the FMU answered fatal error: ValueError('no such operating point')"),
    (5, FailureReason.ENDED, "exited with code 3"),
    (6, FailureReason.RAISED, "step to 1 s: the FMU answered discard"),
    (7, FailureReason.TIMEOUT, "longer than 4 s"),
]


async def test_a_hostile_fmu_is_stopped_and_reported_and_runs_again(models: Start, fmus: Fmus) -> None:
    model = models("fmu", fmus("hostile"), cpu_s=0.5, wall_s=4.0, memory_bytes=256 * MIB)
    await model.start()
    for do, reason, words in HOSTILE:
        told = await failure(model, do)
        # On a busy machine the wall may come first.
        assert told.reason is reason or (do == 1 and told.reason is FailureReason.TIMEOUT), (do, told)
        assert words in told.detail or told.reason is FailureReason.TIMEOUT
        assert len(told.detail) < 1500
        assert "Traceback" not in told.detail
        again = await model.evaluate(rows([0.0, 9.0]))
        assert again.columns["answer"].tolist() == [0.0, 9.0]
    assert model.starts == 5


async def test_a_storm_of_nan_from_an_fmu_is_nan_and_nothing_else(models: Start, fmus: Fmus) -> None:
    model = models("fmu", fmus("hostile"))
    await model.start()
    found = await model.evaluate(rows([8.0] * 50 + [1.5, float("nan")]))
    assert np.isnan(found.columns["answer"]).tolist() == [True] * 50 + [False, True]


WRONG = [
    ("raise ValueError('no such pump')", FailureReason.RAISED, "ValueError: no such pump (line 7)"),
    ("return {'answer': columns['do'][:-1]}", FailureReason.SHAPE, "shape (0,), not (1,)"),
    ("return {'other': columns['do']}", FailureReason.SHAPE, "no column answer"),
    ("return 3", FailureReason.SHAPE, "returned int"),
    ("return {'answer': ['a']}", FailureReason.SHAPE, "no numbers"),
    ("return {'answer': np.zeros(10**10)}", FailureReason.MEMORY, "memory"),
    ("columns['do'][0] = 1", FailureReason.RAISED, "read-only"),
    ("return {'answer': open('/etc/passwd').read()}", FailureReason.RAISED, "Permission denied"),
    ("sys.exit()", FailureReason.ENDED, "exited"),
]


async def test_what_a_python_model_does_wrong_is_told_in_a_line(models: Start) -> None:
    cases = "".join(f"    if columns['do'][0] == {n}:\n        {code}\n" for n, (code, _, _) in enumerate(WRONG))
    model = models("python", f"{DECLARE}def f(columns, dt):\n{cases}")
    await model.start()
    for number, (_, reason, words) in enumerate(WRONG):
        told = await failure(model, number)
        assert (told.reason, words in told.detail) == (reason, True), told
    assert model.starts == 1


async def test_one_asset_that_fails_does_not_spoil_the_others(models: Start) -> None:
    model = models(
        "python",
        f"{DECLARE}def f(columns, dt, state):\n    assert columns['do'][0] < 3, 'too many'\n"
        "    return {'answer': columns['do']}, (state or 0) + len(dt)\n",
    )
    await model.start()
    column = {"do": np.array([1.0, 2.0, 3.0, 4.0])}
    given = Rows(np.array([7, 8, 9]), np.array([0, 2, 3, 4]), np.arange(4) * SECOND, column, np.ones(4), [None] * 3)
    found = await model.evaluate(given)
    assert set(found.failures) == {8, 9}
    assert "too many" in found.failures[8]
    assert found.states[1:] == [None, None]
    np.testing.assert_array_equal(found.columns["answer"], [1.0, 2.0, np.nan, np.nan])
    told = await failure(model, 5.0)
    assert told.reason is FailureReason.RAISED


async def test_an_answer_that_was_made_up_in_the_process_ends_it(models: Start) -> None:
    # The model reaches into the channel of its own process: nothing it can send is taken for more than bytes.
    reach = (
        "    import gc\n    from gongfu.confine.child import Line\n"
        "    line = next(x for x in gc.get_objects() if isinstance(x, Line))\n"
    )
    forged = {
        "line.send(b'garbage')": "",
        "line.send(b'\\x01\\x00\\x00\\x00' + b'\\xc1')": "",
        "line.send(b'\\xff\\xff\\xff\\xff')": "shorter",
        "line._connection.sendall(b'\\xff' * 9)": "limit",
    }
    for code, words in forged.items():
        model = models("python", f"{DECLARE}def f(columns, dt):\n{reach}    {code}\n    time.sleep(60)\n")
        await model.start()
        told = await failure(model)
        assert told.reason is FailureReason.ENDED
        assert words in told.detail


async def test_what_a_process_tells_beyond_its_call_is_cut_or_ends_it(models: Start) -> None:
    reach = (
        "    import gc\n    from gongfu.confine.child import Line\n"
        "    from gongfu.reason.models.sandbox import protocol\n"
        "    line = next(x for x in gc.get_objects() if isinstance(x, Line))\n"
        "    one = 1.0 * columns['do']\n    long = 'x' * 20_000\n"
    )

    def telling(answer: str) -> ModelProcess:
        sent = f"    line.send(*protocol.encode({answer}))\n    time.sleep(60)\n"
        return models("python", f"{DECLARE}def f(columns, dt, state):\n{reach}{sent}")

    words = telling("protocol.Evaluated(('answer',), [None], {5: long}, {5: long, 6: long}), [one]")
    outcome = await words.evaluate(rows([1.0]), states=False)
    assert {asset: len(text) for asset, text in outcome.failures.items()} == {5: 1000}
    assert {asset: len(text) for asset, text in outcome.notes.items()} == {5: 1000}
    failed = telling("protocol.Failed('raised', long)")
    assert len((await failure(failed)).detail) == 1000
    states = telling("protocol.Evaluated(('answer',), [b'x' * 20_000], {}, {}), [one]")
    with pytest.raises(ModelFailure, match="sent states that it was to keep"):
        await states.evaluate(rows([1.0]), states=False)


async def test_calls_wait_for_one_another_and_a_cancelled_call_leaves_no_answer_behind(models: Start) -> None:
    body = "    time.sleep(columns['do'][0])\n    return {'answer': columns['do'] * 2}\n"
    model = models("python", f"{DECLARE}def f(columns, dt):\n{body}")
    await model.start()
    found: list[Outcome] = await asyncio.gather(*(model.evaluate(rows([each / 100])) for each in range(5)))
    assert [each.columns["answer"][0] for each in found] == [each / 50 for each in range(5)]
    slow = asyncio.create_task(model.evaluate(rows([30.0])))
    await asyncio.sleep(0.2)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await model.evaluate(rows([0.01]))).columns["answer"].tolist() == [0.02]
    assert model.starts == 2


async def test_states_outlive_the_process_and_held_ones_do_not(models: Start, fmus: Fmus) -> None:
    model = models("fmu", fmus("tank2-serialised"))
    described = await model.start()
    assert described.facts["state"] == "serialised"

    def some(first: int, state: bytes | None) -> Rows:
        given = {"inflow": np.full(5, 2.0), "boost": np.zeros(5)}
        times = (first + np.arange(5)) * SECOND
        return Rows(np.array([5]), np.array([0, 5]), times, given, np.ones(5), [state])

    # Without any restart, with states out at every call.
    state: bytes | None = None
    straight: list[float] = []
    for first in range(0, 30, 5):
        found = await model.evaluate(some(first, state))
        state = found.states[0]
        straight += found.columns["level"].tolist()
    with pytest.raises(ModelFailure) as caught:
        await model.evaluate(some(30, HELD))
    assert caught.value.reason is FailureReason.STATE

    # Held, with the process killed in the middle, and states taken out once.
    levels: list[float] = []
    for first in range(0, 30, 5):
        found = await model.evaluate(some(first, HELD if first else None), states=False)
        assert found.states == [HELD]
        levels += found.columns["level"].tolist()
        if first in (5, 20):
            await model.close()
        if first == 15:
            (stored,) = await model.states([5])
    assert levels == straight
    assert model.starts == 3

    # From what was taken out, by another process.
    other = models("fmu", fmus("tank2-serialised"))
    found = await other.evaluate(some(20, stored))
    found = await other.evaluate(some(25, found.states[0]))
    assert found.columns["level"].tolist() == straight[25:]


async def test_a_call_that_fails_changes_no_held_state(models: Start) -> None:
    model = models(
        "python",
        f"{DECLARE}def f(columns, dt, state):\n    if columns['do'][0] == 13:\n        os._exit(1)\n"
        "    assert columns['do'][0] != 7, 'seven'\n"
        "    total = (state or 0.0) + np.cumsum(columns['do'])\n    return {'answer': total}, float(total[-1])\n",
    )
    await model.start()
    assert (await model.evaluate(rows([1.0, 2.0]), states=False)).columns["answer"].tolist() == [1.0, 3.0]
    for bad, reason in ((7.0, FailureReason.RAISED), (13.0, FailureReason.ENDED), (7.0, FailureReason.RAISED)):
        with pytest.raises(ModelFailure) as caught:
            await model.evaluate(rows([bad], 2, HELD), states=False)
        assert caught.value.reason is reason
    assert (await model.evaluate(rows([4.0], 3, HELD), states=False)).columns["answer"].tolist() == [7.0]
    assert await model.states([5, 6]) == [b"\xcb@\x1c\x00\x00\x00\x00\x00\x00", None]
    # Taken out for others only: it is let go.
    assert await model.states([6]) == [None]
    with pytest.raises(ModelFailure, match="no state of asset 5 is held"):
        await model.evaluate(rows([1.0], 4, HELD))


async def test_a_long_journal_is_shortened(models: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongfu.reason.models.sandbox.journal.MOST_CALLS", 3)
    body = "    return {'answer': columns['do']}, (state or 0) + len(dt)\n"
    model = models("python", f"{DECLARE}def f(columns, dt, state):\n{body}")
    for first in range(20):
        await model.evaluate(rows([1.0], first, HELD if first else None), states=False)
        assert len(list(model._journal.replay())) <= 4
        if first == 11:
            await model.close()
    assert await model.states([5]) == [b"\x14"]


async def test_a_model_that_keeps_failing_is_started_ever_more_seldom(
    models: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_FIRST_PAUSE_S", 30.0)
    model = models("python", f"{DECLARE}def f(columns, dt):\n    os._exit(9)\n")
    await model.start()
    assert "code 9" in (await failure(model)).detail
    assert "code 9" in (await failure(model)).detail
    told = await failure(model)
    assert told.reason is FailureReason.ENDED
    assert "not started again for" in told.detail
    assert model.starts == 2


async def test_a_wrong_artifact_or_request_is_refused(models: Start, tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match="declares no model") as caught:
        await models("python", "x = 1\n").start()
    assert caught.value.reason is FailureReason.REFUSED
    endless = models("python", "while True:\n    pass\n", start_wall_s=0.5)
    with pytest.raises(ModelFailure) as caught:
        await endless.start()
    assert caught.value.reason in (FailureReason.CPU, FailureReason.TIMEOUT)
    unit = models(
        "python", DECLARE.replace("'do', '1'", "'do', 'furlong'") + "def f(columns, dt):\n    return columns\n"
    )
    with pytest.raises(ModelFailure, match="furlong"):
        await unit.start()
    good = models("python", f"{DECLARE}def f(columns, dt):\n    return {{'answer': columns['do']}}\n", output_bytes=MIB)
    await good.start()
    with pytest.raises(ModelFailure, match="no column for input 'do'"):
        await good.evaluate(rows([1.0])._replace(columns={}))
    with pytest.raises(ModelFailure, match="no input 'other'"):
        await good.evaluate(rows([1.0], other=[1.0]))
    with pytest.raises(ModelFailure, match="do not fit"):
        await good.evaluate(rows([1.0])._replace(dt=np.ones(2)))
    with pytest.raises(ModelFailure, match="too long"):
        await good.evaluate(rows([1.0] * 300_000))
    assert (await good.evaluate(rows([1.0]))).columns["answer"].tolist() == [1.0]
    assert good.starts == 1


async def test_it_starts_quickly_and_says_what_is_enforced(models: Start) -> None:
    model = models("python", f"{DECLARE}def f(columns, dt):\n    return {{'answer': columns['do']}}\n")
    used = time.process_time()
    await model.start()
    found = await model.evaluate(rows([1.0]))
    assert time.process_time() - used < 1.0
    assert 0 < found.cpu_s < 1.0
    assert model.walls.landlock == landlock.abi()
    assert model.walls.network in ("namespace", "seccomp", "landlock")
    assert 0 < model.resident_bytes() < 200 * MIB
