"""/capture and /events as places to capture, and capture jobs."""

from typing import Any
from urllib.parse import quote

import msgspec

from gongfu.identify.epcis.capture import BusyError, Capture, DocumentError, TooMuchError
from gongfu.identify.epcis.jobs import PROCEED, ROLLBACK, Job, find_job, jobs_before
from gongfu.identify.epcis.rest.pages import Call, Headers, Reading, answer, check_media_type
from gongfu.identify.epcis.rest.parameters import definition, per_page
from gongfu.identify.epcis.rest.problems import EpcisProblem, Kind, no_resource
from gongfu.identify.http.types import Response


class Capturing:
    """Takes documents and shows what became of them."""

    def __init__(self, capture: Capture, reading: Reading) -> None:
        self._capture = capture
        self._reading = reading

    def limits(self) -> Headers:
        """Return the headers that say how much is taken, and what happens where something is wrong."""
        limits = self._capture.limits
        return (
            ("GS1-EPCIS-Capture-Limit", str(limits.events)),
            ("GS1-EPCIS-Capture-File-Size-Limit", str(limits.bytes)),
            ("GS1-Capture-Error-Behaviour", f"{ROLLBACK}, {PROCEED}"),
        )

    async def post_document(self, call: Call) -> Response:
        """POST /capture: 202 with the job's address."""
        check_media_type(call.request)
        behaviour = call.request.headers.get("gs1-capture-error-behaviour", ROLLBACK).strip().lower()
        if behaviour not in (ROLLBACK, PROCEED):
            raise EpcisProblem(Kind.VALIDATION, 400, "GS1-Capture-Error-Behaviour is rollback or proceed")
        try:
            job = await self._capture.submit(call.request.body, behaviour, call.owner)
        except (DocumentError, TooMuchError, BusyError) as error:
            raise self._refusal(error) from None
        headers = (("Location", self._reading.path("capture", job.capture_id)), *self.limits()[:2])
        return answer(call, _shown(job), headers, 202)

    async def post_event(self, call: Call) -> Response:
        """POST /events: one event, 201 with its address when it is on the disk."""
        check_media_type(call.request)
        try:
            job, identity = await self._capture.capture_event(call.request.body, call.owner)
        except (DocumentError, TooMuchError, BusyError) as error:
            raise self._refusal(error) from None
        if not job.success:
            first = job.errors[0]
            status = first.status if first.status >= 400 else 400
            raise EpcisProblem(Kind.VALIDATION if status < 500 else Kind.IMPLEMENTATION, status, first.detail)
        location = f"{self._reading.prefix}/events/{quote(identity, safe='')}"
        return answer(call, {"eventID": identity}, (("Location", location),), 201)

    async def jobs(self, call: Call) -> Response:
        """GET /capture: jobs, newest first."""
        given = definition(call.request.query)
        size, before = per_page(given), str(given.pop("nextPageToken", ""))
        if given:
            raise EpcisProblem(Kind.PARAMETER, 400, f"no parameter {next(iter(given))!r} here")
        found = await self._reading(self._jobs, before, size + 1)
        token = found[size - 1].capture_id if len(found) > size else ""
        return answer(
            call,
            [_shown(self._capture.as_seen(job)) for job in found[:size]],
            self._reading.next_link(call, size, token),
        )

    def _jobs(self, before: str, count: int) -> list[Job]:
        jobs = jobs_before(self._reading.store, before)
        return [job for job, _ in zip(jobs, range(count), strict=False)]

    async def job(self, call: Call) -> Response:
        """GET /capture/{captureID}."""
        job = await self._reading(find_job, self._reading.store, call.parts[1])
        if job is None:
            raise no_resource("no capture job has this ID, or it is long past")
        return answer(call, _shown(self._capture.as_seen(job)))

    def _refusal(self, error: DocumentError | TooMuchError | BusyError) -> EpcisProblem:
        if isinstance(error, DocumentError):
            return EpcisProblem(Kind.VALIDATION, 400, str(error), findings=error.findings)
        if isinstance(error, TooMuchError):
            return EpcisProblem(Kind.LIMIT, 413, str(error), headers=tuple(self.limits()[:2]))
        return EpcisProblem(Kind.IMPLEMENTATION, 503, str(error), headers=(("Retry-After", "2"),))


def _shown(job: Job) -> dict[str, Any]:
    shown = msgspec.to_builtins(job)
    del shown["owner"]
    return shown if job.finished_at else {key: value for key, value in shown.items() if key != "finishedAt"}
