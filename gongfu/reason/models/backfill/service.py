"""What people do with back-fills: ask for one, look at them, cancel one."""

from sqlalchemy import Engine

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339, parse_rfc3339
from gongfu.reason.models.backfill import records
from gongfu.reason.models.backfill.types import BackfillBody, Job, JobDocument
from gongfu.reason.models.service import ModelService
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MAX_OPEN = 100


class BackfillService:
    """Jobs of the caller's tenant. Methods block on the records."""

    def __init__(self, engine: Engine, clock: Clock, models: ModelService) -> None:
        self._engine = engine
        self._clock = clock
        self._models = models

    def start(self, subject: Subject, model: str, body: BackfillBody) -> JobDocument:
        """Add a job.

        Raises:
            Problem: 404 for model and version, 400 for the times, 409 when too many jobs wait.
        """
        self._models.spec(subject, model, body.version)
        try:
            time_from, time_to = parse_rfc3339(body.time_from), parse_rfc3339(body.time_to)
        except ValueError as error:
            raise invalid(f"from and to are RFC 3339 times: {error}") from None
        now = self._clock.now_ns()
        if not 0 <= time_from < time_to <= now:
            raise invalid("from must be before to, and to not in the future")
        with writing(self._engine) as connection:
            if len(records.open_jobs(connection, subject.tenant)) >= MAX_OPEN:
                raise conflict(f"{MAX_OPEN} back-fills wait already")
            key = records.add(connection, subject.tenant, model, body, subject.name, now)
            detail = f"{body.assets} {body.time_from} {body.time_to}"
            audit.record(connection, subject, "model.backfill", f"model/{model}", now, detail)
        return self.get(subject, key)

    def get(self, subject: Subject, key: int) -> JobDocument:
        """Return a job.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            job = records.find(connection, key, subject.tenant)
        if job is None:
            raise not_found(f"back-fill {key}")
        return document(job)

    def page(
        self, subject: Subject, model: str | None, before: int | None, limit: int
    ) -> tuple[list[JobDocument], int | None]:
        """Return jobs, newest first, and the key of the next page."""
        with reading(self._engine) as connection:
            found = records.page(connection, subject.tenant, model, before, limit + 1)
        return [document(job) for job in found[:limit]], found[limit - 1].id if len(found) > limit else None

    def cancel(self, subject: Subject, key: int) -> JobDocument:
        """Ask a job to end; what it wrote stays.

        Raises:
            Problem: 404; 409 when it is over.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if records.find(connection, key, subject.tenant) is None:
                raise not_found(f"back-fill {key}")
            if not records.begin_to_cancel(connection, key, now):
                raise conflict("the back-fill is over")
            audit.record(connection, subject, "model.backfill-cancel", f"model-job/{key}", now)
        return self.get(subject, key)


def document(job: Job) -> JobDocument:
    """Return the API's form of a job."""
    return JobDocument(
        id=job.id,
        model=job.model,
        assets=job.request.assets,
        time_from=job.request.time_from,
        time_to=job.request.time_to,
        version=job.request.version,
        state=job.state,
        progress=job.progress,
        error=job.error,
        created_by=job.created_by,
        created_at=format_rfc3339(job.created_at),
        changed_at=format_rfc3339(job.changed_at),
    )
