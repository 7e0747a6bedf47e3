"""Back-fill jobs as stored."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from gongfu.reason.models.backfill.types import OPEN, BackfillBody, Job, JobState, Progress
from gongfu.reason.models.tables import model_job


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        tenant=row.tenant_id,
        model=row.model,
        request=msgspec.convert(row.request, BackfillBody),
        state=JobState(row.state),
        progress=msgspec.convert(row.progress, Progress),
        error=row.error,
        created_by=row.created_by,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def add(connection: Connection, tenant: int, model: str, body: BackfillBody, by: str, now: int) -> int:
    """Add a job that waits; return its id."""
    values = {
        "tenant_id": tenant,
        "model": model,
        "version": body.version,
        "request": msgspec.to_builtins(body),
        "state": str(JobState.WAITING),
        "progress": msgspec.to_builtins(Progress()),
        "error": "",
        "created_by": by,
        "created_at": now,
        "changed_at": now,
    }
    key = connection.execute(insert(model_job).values(values)).inserted_primary_key
    assert key is not None
    return key[0]


def find(connection: Connection, key: int, tenant: int | None = None) -> Job | None:
    """Return a job, of a tenant."""
    query = select(model_job).where(model_job.c.id == key)
    if tenant is not None:
        query = query.where(model_job.c.tenant_id == tenant)
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def page(connection: Connection, tenant: int, model: str | None, before: int | None, limit: int) -> list[Job]:
    """Return jobs of a tenant, newest first."""
    query = select(model_job).where(model_job.c.tenant_id == tenant).order_by(model_job.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(model_job.c.model == model)
    if before is not None:
        query = query.where(model_job.c.id < before)
    return [_job(row) for row in connection.execute(query)]


def open_jobs(connection: Connection, tenant: int | None = None) -> Sequence[Job]:
    """Return the jobs that are not over, oldest first."""
    query = select(model_job).where(model_job.c.state.in_([str(state) for state in OPEN])).order_by(model_job.c.id)
    if tenant is not None:
        query = query.where(model_job.c.tenant_id == tenant)
    return [_job(row) for row in connection.execute(query)]


def count_open(connection: Connection, tenant: int | None = None) -> int:
    """Return how many jobs are not over, of a tenant or of all."""
    query = select(func.count()).where(model_job.c.state.in_([str(state) for state in OPEN]))
    if tenant is not None:
        query = query.where(model_job.c.tenant_id == tenant)
    return connection.execute(query).scalar_one()


def note(
    connection: Connection, key: int, now: int, *, progress: Progress | None = None, state: JobState | None = None,
    error: str | None = None,
) -> None:  # fmt: skip
    """Change a job; what is None stays."""
    values: dict[str, Any] = {"changed_at": now}
    if progress is not None:
        values["progress"] = msgspec.to_builtins(progress)
    if state is not None:
        values["state"] = str(state)
    if error is not None:
        values["error"] = error[:2000]
    connection.execute(update(model_job).where(model_job.c.id == key).values(values))


def begin_to_cancel(connection: Connection, key: int, now: int) -> bool:
    """Ask a job to end; return whether it was not over."""
    where = (model_job.c.id == key) & model_job.c.state.in_([str(state) for state in OPEN])
    values = {"state": str(JobState.CANCELLING), "changed_at": now}
    return bool(connection.execute(update(model_job).where(where).values(values)).rowcount)
