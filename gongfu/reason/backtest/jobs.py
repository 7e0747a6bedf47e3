"""Back-tests of a node: each a process of its own, a few at a time, the last ones kept in memory."""

import asyncio
import contextlib
import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from gongfu.kernel.errors import Problem, invalid, not_found, unavailable
from gongfu.kernel.permissions import Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.alarms.records import alarm
from gongfu.reason.backtest import summary
from gongfu.reason.backtest.types import Backtest, BacktestBody, Instances, Result, Source, State, Task, Told
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.matching import RuleBook, resolved
from gongfu.reason.rules.records import PointRow, points_by_series
from gongfu.reason.rules.service import draft_of
from gongfu.reason.rules.types import check_body
from gongfu.store.history.requests import moment_of
from gongfu.store.records.engine import reading

logger = logging.getLogger(__name__)

RUNNING = 2
KEPT = 20
MAX_SERIES = 200_000
MEMORY_BYTES = 1_500_000_000
_REAL = 100_000
_LINE_BYTES = 64_000_000
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where the history is: URLs of its nodes (series s is on node s % n), user and password."""

    urls: tuple[str, ...]
    user: str
    password: str = field(repr=False)


@dataclass(slots=True)
class _Job:
    tenant: int
    document: Backtest
    task: Task
    points: dict[int, PointRow]
    process: asyncio.subprocess.Process | None = None
    runner: "asyncio.Task[None] | None" = None


class Backtests:
    """Starts, follows and cancels back-tests. Use from one event loop; ``close`` at the end."""

    def __init__(self, engine: Engine, address: Address, clock: Clock) -> None:
        self._engine = engine
        self._address = address
        self._clock = clock
        self._jobs: dict[str, _Job] = {}

    async def start(self, subject: Subject, body: BacktestBody) -> Backtest:
        """Begin a back-test and return it, running.

        Raises:
            Problem: 400 for a rule or a range that makes no sense or a rule that applies to nothing; 503 when as many
                run as may.
        """
        self._check_room()
        check_body(body.rule)
        span = moment_of(body.start, "from"), moment_of(body.to, "to")
        if span[1] <= span[0]:
            raise invalid("to must be after from")
        task, points, warning = await asyncio.to_thread(self._prepare, subject, body, span)
        self._check_room()  # others may have come meanwhile
        document = Backtest(
            id=secrets.token_hex(8), state="running", progress=0.0, samples=0, name=body.rule.name, warning=warning,
            start=format_rfc3339(span[0]), to=format_rfc3339(span[1]), started_at=format_rfc3339(self._clock.now_ns()),
        )  # fmt: skip
        job = self._jobs[document.id] = _Job(subject.tenant, document, task, points)
        job.runner = asyncio.create_task(self._follow(job), name=f"back-test {document.id}")
        self._forget()
        return document

    def _check_room(self) -> None:
        if sum(job.document.state == "running" for job in self._jobs.values()) >= RUNNING:
            raise unavailable(f"{RUNNING} back-tests run already: wait for one, or cancel it")

    def every(self, subject: Subject) -> list[Backtest]:
        """Return the back-tests of a tenant, the newest first, without their results."""
        mine = [job.document for job in self._jobs.values() if job.tenant == subject.tenant]
        return [msgspec.structs.replace(document, result=None) for document in reversed(mine)]

    def get(self, subject: Subject, key: str) -> Backtest:
        """Return a back-test.

        Raises:
            Problem: 404.
        """
        return self._mine(subject, key).document

    async def cancel(self, subject: Subject, key: str) -> None:
        """End a back-test that runs, or forget one that has ended.

        Raises:
            Problem: 404.
        """
        job = self._mine(subject, key)
        if job.document.state != "running":
            del self._jobs[key]
            return
        self._end(job, "cancelled")
        if job.runner is not None:
            job.runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await job.runner

    async def close(self) -> None:
        """End all that run."""
        runners = [job.runner for job in self._jobs.values() if job.runner is not None and not job.runner.done()]
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)

    def _mine(self, subject: Subject, key: str) -> _Job:
        job = self._jobs.get(key)
        if job is None or job.tenant != subject.tenant:
            raise not_found(f"back-test {key[:40]}")
        return job

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.document.state != "running"]
        for key in ended[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[key]

    @staticmethod
    def _end(job: _Job, state: State, error: str = "", result: Result | None = None) -> None:
        job.document = msgspec.structs.replace(job.document, state=state, error=error, result=result)

    def _prepare(
        self, subject: Subject, body: BacktestBody, span: tuple[int, int]
    ) -> tuple[Task, dict[int, PointRow], str]:
        rule, warning = draft_of(subject.tenant, body.rule), ""
        with reading(self._engine) as connection:
            if rule.whole:
                found = resolved(connection, [rule])[rule.id]
                warning = found.error(rule)
                assignment = found.assignment
            else:
                matches = RuleBook([rule]).compile(connection)[rule.id]
                assignment = Assignment(rule, _array(sorted(matches.series)))
            if assignment is None or not len(assignment.series):
                raise invalid(warning or f"the rule matches no point: asset {rule.asset!r}, point {rule.point!r}")
            if len(assignment.series) > MAX_SERIES:
                raise invalid(
                    f"the rule applies to {len(assignment.series):,} points; name assets (at most {MAX_SERIES:,})"
                )
            members = assignment.series if assignment.members is None else assignment.members.reshape(-1)
            wanted = sorted({*members.tolist(), *assignment.series.tolist()})
            points = {row.series: row for row in points_by_series(connection, wanted)}
        if body.assets:
            assignment = _only(assignment, frozenset(body.assets), points)
            if not len(assignment.series):
                raise invalid("assets: the rule applies to none of them")
            members = assignment.series if assignment.members is None else assignment.members.reshape(-1)
        read = {int(series) for series in members.tolist()}
        task = Task(
            user=self._address.user,
            password=self._address.password,
            sources=self._sources([row for row in points.values() if row.series in read]),
            body=body.rule,
            instances=Instances(
                series=assignment.series.tolist(),
                labels=_listed(assignment.labels),
                members=_listed(assignment.members),
                factor=_listed(None if assignment.factor is None else assignment.factor.reshape(-1)),
                offset=_listed(None if assignment.offset is None else assignment.offset.reshape(-1)),
            ),
            time_from=span[0],
            time_to=span[1],
            memory_bytes=MEMORY_BYTES,
        )
        return task, points, warning

    def _sources(self, points: Sequence[PointRow]) -> list[Source]:
        urls = self._address.urls
        found: dict[tuple[str, int], list[int]] = {}
        for row in points:
            found.setdefault((urls[row.series % len(urls)], row.value_type), []).append(row.series)
        text = {int(ValueType.STRING), int(ValueType.JSON)}
        return [Source(url, kind, sorted(series)) for (url, kind), series in found.items() if kind not in text]

    async def _follow(self, job: _Job) -> None:
        process = job.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gongfu.reason.backtest.process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The password goes this way, not by an argument, which others can read.
            process.stdin.write(msgspec.json.encode(job.task))
            await process.stdin.drain()
            process.stdin.close()
            told = Told()
            async for line in process.stdout:
                told = msgspec.json.decode(line, type=Told)
                job.document = msgspec.structs.replace(
                    job.document, progress=max(told.progress, job.document.progress), samples=told.samples
                )
            status = await process.wait()
            if told.error or told.alarms is None:
                self._end(job, "failed", told.error or f"its process ended with status {status}")
                return
            result = await asyncio.to_thread(self._result, job, told)
            self._end(job, "done", result=result)
        except Problem as problem:
            self._end(job, "failed", problem.detail)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.exception("back-test %s failed", job.document.id)
            self._end(job, "failed", type(error).__name__)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _result(self, job: _Job, told: Told) -> Result:
        alarms, task = told.alarms or [], job.task
        places = {series: (row.asset_path, row.name) for series, row in job.points.items()}
        worst, chatter = summary.offenders(alarms, task.time_to, places)
        return Result(
            series=len(task.instances.series),
            samples=told.samples,
            left_out=told.left_out,
            raised=told.raised,
            alarms=summary.listed(alarms, places),
            more=told.raised - min(len(alarms), summary.LISTED),
            days=summary.days(alarms, task.time_from, task.time_to),
            standing=sum(alarm[2] < 0 for alarm in alarms),
            chattering=chatter,
            peak=summary.peak([alarm[1] for alarm in alarms]),
            durations=summary.durations(alarms, task.time_to),
            offenders=worst,
            comparison=summary.compare(alarms, self._real(job), task.time_to),
            seconds=told.seconds,
        )

    def _real(self, job: _Job) -> list[tuple[int, int, int]]:
        """Return the alarms that were on the points in the range, whatever rule raised them."""
        series, task = job.task.instances.series, job.task
        found: list[tuple[int, int, int]] = []
        with reading(self._engine) as connection:
            for begin in range(0, len(series), _CHUNK):
                mine = alarm.c.series.in_(series[begin : begin + _CHUNK]) & (alarm.c.tenant_id == job.tenant)
                within = (alarm.c.raised_at >= task.time_from) & (alarm.c.raised_at < task.time_to)
                query = select(alarm.c.series, alarm.c.raised_at, alarm.c.returned_at).where(mine & within)
                rows = connection.execute(query.limit(_REAL - len(found)))
                found += [(row[0], row[1], -1 if row[2] is None else row[2]) for row in rows]
                if len(found) >= _REAL:
                    break
        return found


def _array(series: Sequence[int]) -> Any:
    import numpy as np

    return np.array(series, dtype=np.uint32)


def _listed(column: Any) -> Any:
    return None if column is None else column.tolist()


def _only(assignment: Assignment, assets: frozenset[str], points: dict[int, PointRow]) -> Assignment:
    """Return an assignment with the instances of some assets. What they are compared with stays for deviations."""
    import numpy as np

    if assignment.labels is not None:
        chosen = {
            int(label)
            for series, label in zip(assignment.series.tolist(), assignment.labels.tolist(), strict=True)
            if series in points and points[series].asset_path in assets
        }
        kept = np.array([int(label) in chosen for label in assignment.labels.tolist()], dtype=np.bool_)
    else:
        kept = np.array(
            [series in points and points[series].asset_path in assets for series in assignment.series.tolist()],
            dtype=np.bool_,
        )
    traits = {name: getattr(assignment, name) for name in ("labels", "members", "factor", "offset")}
    picked = {name: None if column is None else column[kept] for name, column in traits.items()}
    return replace(assignment, series=assignment.series[kept], **picked)
