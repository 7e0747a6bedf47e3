"""Which stage of the data flow a sampled stack belongs to."""

import linecache
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHER = "other"
# By process: stage, what marks a frame of it (file:function), and what its source line must contain. The innermost
# frame that matches decides.
STAGES: dict[str, list[tuple[str, str, str]]] = {
    "door": [
        ("parse", r"columnise/(json|json_shape|sparkplug_wire)\.py:", ""),
        ("parse", r"columnise/batch\.py:.*take_json", "decode("),
        ("append", r"kernel/block\.py:|accumulator\.py:.*close|bus/blocklog\.py:|/nats/", ""),
        (
            "receipts, PUBACK writes",
            r"_give|_settle|connection\.py:.*(flush|_acknowledge|settle)|context\.py:.*_flush",
            "",
        ),
        ("columnise", r"ingest/columnise/", ""),
        ("split, admit", r"ingest/mqtt/|ingest/admission/", ""),
        ("socket reads, event loop", r"runners\.py:|uvloop/", ""),
    ],
    "worker": [
        ("history: encode", r"history/(native|writer|arrivals)\.py:", ""),
        ("history: insert", r"history/|clickhouse_connect/|http/client|urllib3/|socket\.py:", ""),
        ("latest values", r"store/twins/", ""),
        ("rules", r"reason/rules/", ""),
        ("models, alarms", r"reason/(models|alarms)/", ""),
        ("read the log", r"gongfu/bus/|/nats/|kernel/block\.py:", ""),
        ("event loop, threads", r"runners\.py:|asyncio/|concurrent/|threading\.py:|uvloop/", ""),
    ],
    "history": [
        ("insert: engine", r"history/|chdb", ""),
        ("insert: HTTP", r"http|uvicorn|granian|starlette|asyncio/|runners\.py:|socket", ""),
    ],
}
# Threads that wait for work; a sampler may take them for busy.
_WAITING = re.compile(r"^(_worker|wait|get|_run|CommitThread\._run) \(.*(thread|threading|queue|writer)\.py:\d+\)$")
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>.*):(?P<line>\d+)\)$")


def stage_of(process: str, stack: list[str]) -> str:
    """Return the stage of a stack, outermost frame first, each ``function (file:line)``."""
    for frame in reversed(stack):
        match = _FRAME.match(frame)
        if match is None:
            continue
        place = f"{match['file']}:{match['function']}"
        for stage, pattern, text in STAGES[process]:
            if re.search(pattern, place) and (not text or text in _source(match["file"], int(match["line"]))):
                return stage
    return OTHER


def _source(file: str, line: int) -> str:
    return linecache.getline(str(ROOT / file), line)


def read_stacks(path: Path) -> Counter[tuple[str, ...]]:
    """Return the samples of a folded profile by stack."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        frames, _, count = line.rpartition(" ")
        stack = tuple(frames.split(";"))
        if not _WAITING.match(stack[-1]):
            stacks[stack] += int(count)
    return stacks


def shares(process: str, stacks: Counter[tuple[str, ...]]) -> dict[str, float]:
    """Return the share of the samples of each stage."""
    total = sum(stacks.values())
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[stage_of(process, list(stack))] += count
    return {stage: count / total for stage, count in found.most_common()}
