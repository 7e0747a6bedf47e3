"""What a tenant may use of what all tenants share, and what it uses: artifacts of models and back-fills."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.reason.models.backfill.service import BackfillService
from gongfu.reason.models.service import ModelService
from gongfu.rest.routing import Call, Route


class QuotaDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Use of the caller's tenant.

    Attributes:
        artifacts: number of artifacts that it has sent and that are kept.
        artifact_bytes: their bytes.
        artifact_bytes_most: bytes it may have.
        backfills: back-fills that wait or run.
        backfills_most: how many may.
    """

    artifacts: int
    artifact_bytes: int
    artifact_bytes_most: int
    backfills: int
    backfills_most: int


def routes(models: ModelService, backfills: BackfillService) -> list[Route]:
    """Return the operations."""

    async def get(call: Call) -> QuotaDocument:
        used = await asyncio.to_thread(models.artifacts.used, call.subject.tenant)
        return QuotaDocument(
            artifacts=used.artifacts,
            artifact_bytes=used.bytes,
            artifact_bytes_most=models.artifacts.tenant_bytes,
            backfills=await asyncio.to_thread(backfills.open_of, call.subject),
            backfills_most=backfills.tenant_open,
        )

    words = "Artifacts and back-fills of the tenant, and how many it may have"
    return [Route("GET", "/model-quota", Action.READ, get, words, None, QuotaDocument)]
