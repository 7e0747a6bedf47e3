"""Run the tests that an app brings, in a confined process: both ends of it."""

import asyncio
from pathlib import Path

import msgspec

from gongfu.appkit.store.checks import SelfTest
from gongfu.confine.child import Line
from gongfu.confine.process import Confined
from gongfu.confine.types import MIB, ConfinedEnded, ProcessLimits, Start

WALL_S = 300.0
CPU_S = 120.0
_MEMORY = 1024 * MIB
_MOST_TOLD = 5


class _Told(msgspec.Struct, frozen=True):
    """A test: its name, and its trouble, empty when it passed."""

    name: str
    trouble: str


def run_confined(folder: Path) -> SelfTest:
    """Run the tests of the app in a folder; blocks, has no event loop around it.

    Tests read the app's folder, write only a scratch folder beside it, and have no network.
    """
    return asyncio.run(_run(folder))


async def _run(folder: Path) -> SelfTest:
    scratch = folder.with_name(f"{folder.name}-scratch")
    scratch.mkdir(mode=0o700)
    limits = ProcessLimits(memory_bytes=_MEMORY, cpu_s=CPU_S, frame_bytes=MIB)
    process = Confined(
        Start(entry=f"{__name__}:in_process", name="app tests", readable=(folder,), writable=(scratch,), limits=limits)
    )
    try:
        walls = await process.start()
        with process.deadline(wall_s=WALL_S):
            await process.send(str(folder).encode())
            told = msgspec.json.decode(await process.receive(), type=list[_Told])
    except ConfinedEnded as error:
        ended = error.ended
        return SelfTest(True, False, f"{ended.reason}: {ended.detail} {' / '.join(ended.log[-3:])}".strip())
    except msgspec.MsgspecError:
        return SelfTest(True, False, "the tests wrote into the channel")
    finally:
        await process.close()
    failed = [each for each in told if each.trouble]
    words = f"{len(told) - len(failed)} of {len(told)} passed"
    if walls.missing:
        words += f" (not enforced here: {', '.join(walls.missing)})"
    for each in failed[:_MOST_TOLD]:
        words += f"; {each.name}: {each.trouble}"
    return SelfTest(bool(told), not failed, words if told else "no test_* functions were found")


def in_process(line: Line) -> None:
    """What runs behind the walls: load and run the tests of the folder in the first frame, tell what came of them."""
    from gongfu.appkit.developing.tests_of import run_tests

    frame = line.receive()
    if frame is None:
        return
    told = [_Told(outcome.name[:200], outcome.trouble[:500]) for outcome in run_tests(Path(frame.decode()))]
    line.send(msgspec.json.encode(told[:1000]))
