"""Back-fill jobs as the API takes and shows them. Pure."""

from enum import StrEnum
from typing import Annotated

import msgspec


class JobState(StrEnum):
    """State of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DONE = "done"


OPEN = (JobState.WAITING, JobState.RUNNING, JobState.CANCELLING)


class BackfillBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of POST /v1/models/{id}:backfill.

    Attributes:
        assets: glob of asset paths; of those that are bound to the model, these are computed.
        time_from: first source time of inputs, RFC 3339.
        time_to: source time before which inputs are taken, RFC 3339.
        version: version to compute with; empty: the one that each binding runs.
    """

    time_from: Annotated[str, msgspec.Meta(max_length=40)] = msgspec.field(name="from")
    time_to: Annotated[str, msgspec.Meta(max_length=40)] = msgspec.field(name="to")
    assets: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] = "**"
    version: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is.

    Attributes:
        share: 0 to 1.
        assets: assets to be computed.
        assets_done: those that are.
        samples: input samples read.
        rows: rows computed.
        failed: rows that were not, because the model failed at an asset.
        shed: rows that were not made because there would have been too many at once.
        points: output points written.
        cpu_s: CPU seconds of the model's process.
        binding: binding at work.
        after: assets of it up to this id are done.
        asset, time: of a SQL model, the asset at work and where it goes on (UTC ns); 0 for none.
    """

    share: float = 0.0
    assets: int = 0
    assets_done: int = 0
    samples: int = 0
    rows: int = 0
    failed: int = 0
    shed: int = 0
    points: int = 0
    cpu_s: float = 0.0
    binding: int = 0
    after: int = 0
    asset: int = 0
    time: int = 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job; times are UTC ns."""

    id: int
    tenant: int
    model: str
    request: BackfillBody
    state: JobState
    progress: Progress
    error: str
    created_by: str
    created_at: int
    changed_at: int


class JobDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the API shows it; times are RFC 3339."""

    id: int
    model: str
    assets: str
    time_from: str = msgspec.field(name="from")
    time_to: str = msgspec.field(name="to")
    version: str
    state: JobState
    progress: Progress
    error: str
    created_by: str
    created_at: str
    changed_at: str
