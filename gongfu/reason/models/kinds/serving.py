"""What runs in a model's process: answers requests, one at a time, until the channel closes."""

from pathlib import Path
from typing import Any

from gongfu.confine.child import Line
from gongfu.confine.frames import FrameError
from gongfu.reason.models.kinds.loading import load
from gongfu.reason.models.kinds.types import Evaluator, KindError, refused
from gongfu.reason.models.sandbox import protocol
from gongfu.reason.models.sandbox.types import FailureReason

# From this share of its address space on, what went wrong is taken to have gone wrong for want of memory.
_FULL = 0.95


def serve(line: Line) -> None:
    """Answer requests; the first one is Open."""
    evaluator: Evaluator | None = None
    while (frame := line.receive()) is not None:
        columns: list[Any] = []
        before = line.peak_share()
        try:
            request, rest = protocol.decode_request(frame)
            if isinstance(request, protocol.Open):
                evaluator = load(request.kind, Path(request.artifact), request.parameters, Path(request.scratch))
                answer: protocol.Answer = protocol.Described(evaluator.description)
            elif evaluator is None:
                raise refused("no artifact is loaded")
            elif isinstance(request, protocol.Fetch):
                if request.only is not None:
                    evaluator.let_go(set(request.only))
                answer = protocol.Fetched(evaluator.states(request.assets))
            else:
                rows = protocol.decode_rows(request, rest)
                _fits(evaluator, request)
                found = evaluator.evaluate(rows, request.keep)
                columns = list(found.columns.values())
                answer = protocol.Evaluated(tuple(found.columns), found.states, found.failures, found.notes)
        except KindError as error:
            answer, columns = protocol.Failed(error.reason, error.detail[:1000]), []
            if error.reason is FailureReason.RAISED and line.peak_share() > max(before, _FULL):
                # Foreign code seldom says so itself, and often cannot.
                answer = protocol.Failed(FailureReason.MEMORY, f"{error.detail[:900]}; it had used up its memory")
        except MemoryError:
            answer, columns = protocol.Failed(FailureReason.MEMORY, "it ran out of memory"), []
        except Exception as error:
            detail = f"{type(error).__name__}: {str(error)[:500]}"
            answer, columns = protocol.Failed(FailureReason.RAISED, detail), []
        try:
            line.send(*protocol.encode(answer, columns))
        except FrameError as error:
            line.send(*protocol.encode(protocol.Failed(FailureReason.SHAPE, f"its answer is too long: {error}")))


def _fits(evaluator: Evaluator, request: protocol.Evaluate) -> None:
    wanted = {port.name for port in evaluator.description.inputs}
    given = set(request.inputs)
    if missing := sorted(wanted - given):
        raise refused(f"no column for input {missing[0]!r}")
    if unknown := sorted(given - wanted):
        raise refused(f"the model has no input {unknown[0]!r}; it has {', '.join(sorted(wanted))}")
