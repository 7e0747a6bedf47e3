"""Runs follow what is registered: a version that was removed and came again as another begins anew."""

from collections.abc import Mapping
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import Executor, InProcess
from gongfu.reason.models.service import BindingBody, ModelService
from gongfu.reason.models.spec import Kind, ModelSpec
from gongfu.reason.models.streaming.fleet import Fleet
from gongfu.reason.models.types import Port
from gongfu.store.objects.folder import ObjectFolder
from tests.contract.reason.plant import Plant
from tests.unit.reason.test_model_streaming import energy

SUBJECTS = Subjects("test")
SPEC = ModelSpec(
    id="test.again",
    version="1.0.0",
    kind=Kind.PYTHON,
    inputs=(Port("a", "K"), Port("b", "K")),
    outputs=(Port("sum", "K"), Port("rate", "K/s")),
)


async def test_a_version_that_comes_again_with_another_artifact_is_run_anew(
    sqlite_records: Engine, tmp_path: Path, bus: Client
) -> None:
    plant, counters, objects = Plant(sqlite_records), Counters(), ObjectFolder(tmp_path / "objects")
    for name in ("a", "b"):
        plant.point("hall/pump", name, unit="K")
    models, anna = ModelService(sqlite_records, plant.clock, lambda _: None, {}, objects), plant.subject()
    await ensure_streams(bus, SUBJECTS, 1, 3600, 1 << 24, 1)
    opened: list[str] = []

    def open_one(spec: ModelSpec, parameters: Mapping[str, float], name: str) -> Executor:
        opened.append(spec.sha256)
        return InProcess(energy)

    folder = tmp_path / "models"
    folder.mkdir()
    log = BlockLog(bus, SUBJECTS, counters)
    fleet = Fleet(
        bus, SUBJECTS, sqlite_records, Catalogue({}, objects), open_one, log, folder, 1, counters, plant.clock
    )
    told: list[str] = []
    for artifact in (b"one", b"two"):
        models.register(anna, SPEC, artifact)
        models.bind(anna, SPEC.id, BindingBody(assets="hall/*"))
        await fleet.load()
        await fleet.load()
        (run,) = fleet.runs.values()
        told.append(run.spec.sha256)
        assert len(list(folder.glob("*.state"))) == 1
        models.remove(anna, SPEC.id)
    assert told == opened
    assert len(set(told)) == 2
    await fleet.load()
    assert fleet.runs == {}
    assert list(folder.iterdir()) == []
    await fleet.close()
