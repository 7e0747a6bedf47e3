"""Artifacts are shared, claims are not: who has not sent the bytes cannot refer to them; each tenant has a quota."""

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.reason.models import quota
from gongfu.reason.models.artifacts import ArtifactUse
from gongfu.reason.models.backfill.service import BackfillService
from gongfu.reason.models.backfill.types import BackfillBody
from gongfu.rest.routing import Call
from gongfu.store.objects.folder import GRACE_S
from tests.contract.reason.test_model_services import SOURCE, Office

DIGEST = hashlib.sha256(SOURCE).hexdigest()
BODY = {"spec": {"kind": "python"}, "sha256": DIGEST}


@pytest.fixture
def office(records: Engine, tmp_path: Path) -> Office:
    return Office(records, tmp_path)


def files(office: Office) -> list[str]:
    return [one.sha256 for one in office.objects.all()]


async def test_a_digest_alone_gives_no_right_to_the_bytes(office: Office) -> None:
    await office.call("POST", "/models", document={"spec": BODY["spec"], "artifact": base64.b64encode(SOURCE).decode()})
    asked: list[object] = []
    inspect = office.role.inspect

    async def noted(request: Any) -> Any:
        asked.append(request)
        return await inspect(request)

    office.role.inspect = noted
    stranger = office.plant.subject(of=2)
    said: list[str] = []
    for digest in (DIGEST, "0" * 64):
        with pytest.raises(Problem) as refused:
            await office.call("POST", "/models", stranger, {**BODY, "sha256": digest})
        assert refused.value.status == 404
        said.append(refused.value.detail.replace(digest, ""))
    assert said[0] == said[1], "whether others have it is told"
    assert asked == [], "the sandbox told a stranger about another tenant's artifact"
    # Who can send the bytes has them; they are kept once.
    office.models.artifacts.put(stranger, SOURCE)
    found = await office.call("POST", "/models", stranger, BODY)
    assert found["id"] == "pump.power"
    assert files(office) == [DIGEST]


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def test_a_tenant_has_its_own_room_and_takes_none_of_others(office: Office) -> None:
    artifacts, anna, boris = office.models.artifacts, office.plant.subject(), office.plant.subject(of=2)
    artifacts.tenant_bytes = 1000
    await artifacts.take(anna, pieces(b"a" * 300, b"b" * 300))
    before = files(office)
    for content in ([b"c" * 300, b"d" * 101], [b"e" * 500]):
        with pytest.raises(Problem) as refused:
            await artifacts.take(anna, pieces(*content))
        assert (refused.value.status, refused.value.code) == (507, "artifact-quota-exceeded")
        assert refused.value.extra == {"used_bytes": 600, "quota_bytes": 1000}
        with pytest.raises(Problem, match="600 of 1000"):
            artifacts.put(anna, b"".join(content))
    assert files(office) == before
    assert list(office.objects.root.glob(".incoming-*")) == []
    artifacts.put(anna, b"a" * 300 + b"b" * 300)  # it has that already
    artifacts.put(boris, b"a" * 1000)
    assert artifacts.used(1) == ArtifactUse(1, 600)
    backfills = BackfillService(office.engine, office.plant.clock, office.models, tenant_open=7)
    (route,) = quota.routes(office.models, backfills)
    shown = await route.answer(Call(anna, {}, {}, None))
    assert (shown.artifact_bytes, shown.artifact_bytes_most, shown.backfills, shown.backfills_most) == (600, 1000, 0, 7)


async def test_the_last_room_is_given_once(office: Office) -> None:
    artifacts, anna = office.models.artifacts, office.plant.subject()
    artifacts.tenant_bytes = 1000

    sent = [artifacts.take(anna, pieces(letter * 700)) for letter in (b"a", b"b", b"c", b"d")]
    refused = [one for one in await asyncio.gather(*sent, return_exceptions=True) if isinstance(one, Problem)]
    assert [one.status for one in refused] == [507, 507, 507]
    assert artifacts.used(1) == ArtifactUse(1, 700)


def test_what_nothing_refers_to_is_let_go_and_what_others_have_stays(office: Office) -> None:
    artifacts, anna, boris = office.models.artifacts, office.plant.subject(), office.plant.subject(of=2)
    for subject, content in ((anna, b"both"), (boris, b"both"), (anna, b"hers"), (anna, b"new")):
        artifacts.put(subject, content)
    for file in office.objects.root.rglob("*"):
        if file.is_file():
            os.utime(file, (time.time() - 2 * GRACE_S, time.time() - 2 * GRACE_S))
    office.plant.clock.now += round(1.5 * GRACE_S * SECOND)
    artifacts.put(boris, b"both")
    artifacts.put(anna, b"new")
    gone = artifacts.sweep()
    assert [one.sha256 for one in gone] == [hashlib.sha256(b"hers").hexdigest()]
    assert (artifacts.used(1), artifacts.used(2)) == (ArtifactUse(1, 3), ArtifactUse(1, 4))
    with pytest.raises(Problem):
        artifacts.check(anna, hashlib.sha256(b"both").hexdigest())
    artifacts.check(boris, hashlib.sha256(b"both").hexdigest())


async def test_a_version_keeps_its_artifact(office: Office) -> None:
    office.models.artifacts.put(office.plant.subject(), SOURCE)
    await office.call("POST", "/models", document=BODY)
    os.utime(office.objects.path(DIGEST), (1.0, 1.0))
    office.plant.clock.now += round(2 * GRACE_S * SECOND)
    assert office.models.artifacts.sweep() == []
    await office.call("DELETE", "/models/{id}", id="pump.power")
    office.plant.clock.now += round(2 * GRACE_S * SECOND)
    assert [one.sha256 for one in office.models.artifacts.sweep()] == [DIGEST]


def test_the_queue_of_back_fills_is_bounded_for_each_tenant_and_for_all(office: Office) -> None:
    backfills = BackfillService(office.engine, office.plant.clock, office.models, tenant_open=2, max_open=3)
    anna, boris = office.plant.subject(), office.plant.subject(of=2)
    body = BackfillBody(time_from="2023-01-01T00:00:00Z", time_to="2023-01-02T00:00:00Z")
    first = backfills.start(anna, "test.energy", body)
    backfills.start(anna, "test.energy", body)
    with pytest.raises(Problem) as mine:
        backfills.start(anna, "test.energy", body)
    assert (mine.value.status, mine.value.code) == (429, "backfill-quota-exceeded")
    backfills.start(boris, "test.energy", body)
    with pytest.raises(Problem) as all_:
        backfills.start(boris, "test.energy", body)
    assert (all_.value.status, all_.value.code) == (503, "backfills-full")
    assert (backfills.open_of(anna), backfills.open_of(boris)) == (2, 1)
    assert backfills.cancel(anna, first.id).state == "cancelling"
