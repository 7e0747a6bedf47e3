"""What people do with back-fills: ask for one, look at them, cancel one."""

from sqlalchemy import Engine, select

from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339, parse_rfc3339
from gongfu.reason.models.backfill import records
from gongfu.reason.models.backfill.types import BackfillBody, Job, JobDocument
from gongfu.reason.models.service import ModelService
from gongfu.registry import audit
from gongfu.registry.tables import tenant
from gongfu.store.records.engine import reading, writing

# Jobs that are not over, of one tenant and of all, where the settings do not say others.
TENANT_OPEN = 100
MAX_OPEN = 1000


class BackfillService:
    """Jobs of the caller's tenant. Methods block on the records."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        models: ModelService,
        tenant_open: int = TENANT_OPEN,
        max_open: int = MAX_OPEN,
    ) -> None:
        """Take jobs for ``models``: at most ``tenant_open`` of a tenant and ``max_open`` in all that are not over."""
        self.tenant_open, self.max_open = tenant_open, max_open
        self._engine = engine
        self._clock = clock
        self._models = models

    def start(self, subject: Subject, model: str, body: BackfillBody) -> JobDocument:
        """Add a job.

        Raises:
            Problem: 404 for model and version, 400 for the times, 429 ``backfill-quota-exceeded`` when too many of the
                tenant's jobs wait, 503 ``backfills-full`` when too many wait in all.
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
            # Two requests at once must not both take the last place.
            own = select(tenant.c.id).where(tenant.c.id == subject.tenant)
            connection.execute(own.with_for_update(key_share=True))
            mine, everybody = records.count_open(connection, subject.tenant), records.count_open(connection)
            if mine >= self.tenant_open:
                raise Problem(
                    429,
                    "backfill-quota-exceeded",
                    "The tenant has too many back-fills",
                    f"{mine} back-fills of this tenant wait or run, at most {self.tenant_open}; cancel some, or wait",
                    {"open": mine, "quota": self.tenant_open},
                )
            if everybody >= self.max_open:
                detail = f"{everybody} back-fills of this node wait or run; ask again later"
                raise Problem(503, "backfills-full", "The queue of back-fills is full", detail)
            key = records.add(connection, subject.tenant, model, body, subject.name, now)
            detail = f"{body.assets} {body.time_from} {body.time_to}"
            audit.record(connection, subject, "model.backfill", f"model/{model}", now, detail)
        return self.get(subject, key)

    def open_of(self, subject: Subject) -> int:
        """Return how many jobs of the tenant are not over."""
        with reading(self._engine) as connection:
            return records.count_open(connection, subject.tenant)

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
