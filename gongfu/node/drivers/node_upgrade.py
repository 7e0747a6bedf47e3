"""Kind ``node-upgrade`` (节点升级): the node runs another version of Gongfu.

The driver makes the release beside the one that runs, moves the pointer, and asks the node to start anew; the launcher
(``gongfu/node/launcher.py``) goes back when the new version does not become ready. The driver's call does not outlive
the restart: it is called again by the new version, and then tells what the launcher has noted. The probe asks neither:
it looks at what the supervisor that runs says of itself, and whether the API answers.
"""

import asyncio
import http.client
import json
import ssl
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from gongfu.bus.requests import request
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.node.data_directory import DataDirectory
from gongfu.node.drivers.context import DriverContext
from gongfu.node.launcher import KEPT, RETURNED, Trial, point_to, read_trial, write_trial
from gongfu.node.releases import ReleaseError, Releases
from gongfu.node.restarting import RestartRequest
from gongfu.tree.orders.kinds import Clock, Guard, OrderKind, Probe, Step
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

_NAME = "node-upgrade"
_MINUTE = 60 * SECOND
SECONDS = 590.0
"""Of one call; less than the engine allows."""
_RESTART_S = 5.0
_POLL_S = 0.2
_HEALTH_S = 5.0

KIND = OrderKind(
    name=_NAME,
    title={"zh": "节点升级", "en": "Node upgrade"},
    schema={
        "type": "object",
        "properties": {
            "version": {"type": "string", "pattern": r"^[0-9][0-9A-Za-z.+!_-]{0,60}\Z"},
            "source": {
                "type": "string",
                "pattern": "^/",
                "maxLength": 1000,
                "description": "directory of the wheels at the target",
            },
            "wheels": {
                "type": "object",
                "additionalProperties": {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"},
                "description": "file name → SHA-256; dependencies that do not change need not be there",
            },
            "ready_seconds": {"type": "integer", "minimum": 10, "maximum": 400},
            "records_may_change": {
                "type": "boolean",
                "description": "whether the new version may migrate the records; there is then no way back",
            },
        },
        "required": ["version", "source", "wheels"],
        "additionalProperties": False,
    },
    may_issue=("*",),
    approvals=2,
    guard=Guard(most_targets=200, most_share=0.34, most_per_hour=500),
    clocks={
        Step.DELIVER: Clock(within=30 * _MINUTE, escalate_after=60 * _MINUTE, escalate_to="operator"),
        Step.EXECUTE: Clock(within=60 * _MINUTE, escalate_after=60 * _MINUTE, escalate_to="operator"),
        Step.VERIFY: Clock(within=75 * _MINUTE, escalate_after=60 * _MINUTE, escalate_to="operator"),
    },
    driver=_NAME,
    probe=Probe(name=_NAME, delay=5 * SECOND, every=5 * SECOND, within=300 * SECOND),
    idempotent=True,
    can_roll_back=True,
)


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order of the kind says."""

    version: str
    source: str
    wheels: dict[str, str]
    ready_seconds: int = 120
    records_may_change: bool = False


class _Move(msgspec.Struct, frozen=True):
    """What an order has moved: kept for taking it back."""

    old: str
    new: str


class NodeUpgradeDriver:
    """Changes the release of this node. One call at a time."""

    def __init__(self, context: DriverContext, releases: Releases | None = None) -> None:
        """Use ``releases``, by default those that the launcher has told of."""
        self._context = context
        self._releases = releases or Releases.of_environment()
        self._state = DataDirectory(Path(context.runtime.data_dir)).state

    async def run(self, call: DriverCall) -> DriverResult:
        """Run another version; it is a success when the launcher has kept it."""
        releases = self._releases
        if releases is None:
            return DriverResult(False, "this node was not started by the launcher (docs/orders.md)")
        if self._context.runtime.instance:
            return DriverResult(False, "a node of several machines is not upgraded by an order")
        try:
            payload = msgspec.json.decode(call.payload, type=Payload)
            trial = await asyncio.to_thread(read_trial, releases.root)
            if trial is None or trial.key != call.key:
                prepare = self._way_back if call.rollback else self._way_on
                prepared = await asyncio.to_thread(prepare, releases, call, payload)
                if isinstance(prepared, DriverResult):
                    return prepared
                trial = prepared
                await asyncio.to_thread(write_trial, releases.root, trial)
            return await self._see_through(releases, trial)
        except (ReleaseError, OSError) as error:
            return DriverResult(False, str(error))

    def _way_on(self, releases: Releases, call: DriverCall, payload: Payload) -> Trial | DriverResult:
        old = releases.current()
        if old == payload.version and self._running() == old:
            return DriverResult(True, f"{old} runs already")
        made = releases.install(payload.version, Path(payload.source), payload.wheels)
        present = releases.describe(old)
        if made.records != present.records and not payload.records_may_change:
            return DriverResult(
                False, f"{payload.version} migrates the records from {present.records} to {made.records}: not allowed"
            )
        _write_move(_move_path(releases, call.order), _Move(old, payload.version))
        return Trial(call.key, old, payload.version, payload.ready_seconds)

    def _way_back(self, releases: Releases, call: DriverCall, payload: Payload) -> Trial | DriverResult:
        try:
            move = msgspec.json.decode(_move_path(releases, call.order).read_bytes(), type=_Move)
        except FileNotFoundError:
            return DriverResult(True, "nothing was changed")
        present = releases.current()
        if present == move.old:
            return DriverResult(True, f"{present} runs")
        if present != move.new:
            return DriverResult(False, f"{present} was installed since, by another order")
        if releases.describe(move.old).records != releases.describe(move.new).records:
            return DriverResult(False, f"{move.new} has migrated the records; {move.old} cannot read them")
        return Trial(call.key, move.new, move.old, payload.ready_seconds)

    async def _see_through(self, releases: Releases, trial: Trial) -> DriverResult:
        """Move the pointer, ask for the restart, and wait for what the launcher says: perhaps in another life."""
        if not trial.outcome:
            if await asyncio.to_thread(releases.current) != trial.new:
                await asyncio.to_thread(point_to, releases.root, trial.new)
            if self._running() != trial.new:
                subject = self._context.subjects.service("restart")
                try:
                    await request(self._context.bus, subject, RestartRequest(f"{trial.old} → {trial.new}"), _RESTART_S)
                except Problem as problem:
                    # What fails here must not come about with some later restart.
                    await asyncio.to_thread(_give_up, releases, trial, problem.detail or problem.title)
        while True:
            found = await asyncio.to_thread(read_trial, releases.root)
            if found is None or found.key != trial.key:
                return DriverResult(False, "another change of release came in between")
            if found.outcome == KEPT:
                return DriverResult(True, f"{trial.old} → {trial.new}")
            if found.outcome == RETURNED:
                return DriverResult(False, f"back to {trial.old}: {found.reason}")
            await asyncio.sleep(_POLL_S)

    def _running(self) -> str:
        """Return the version of the supervisor that runs, "" when none does."""
        try:
            return str(json.loads(self._state.read_bytes())["version"])
        except (OSError, ValueError, KeyError):
            return ""


def _give_up(releases: Releases, trial: Trial, why: str) -> None:
    point_to(releases.root, trial.old)
    write_trial(releases.root, replace(trial, outcome=RETURNED, reason=f"no restart: {why}"))


def _move_path(releases: Releases, order: str) -> Path:
    return releases.root / "moves" / f"{order}.json"


def _write_move(path: Path, move: _Move) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():  # a repeated call must not take the new version for the old one
        scratch = path.with_suffix(".new")
        scratch.write_bytes(msgspec.json.encode(move))
        scratch.replace(path)


class NodeUpgradeProbe:
    """Looks at the version that the supervisor tells, at its roles, and at the health that the API tells."""

    def __init__(self, context: DriverContext) -> None:
        self._web = context.runtime.web
        self._state = DataDirectory(Path(context.runtime.data_dir)).state

    async def look(self, call: ProbeCall) -> Seen:
        """Look at what runs."""
        return await asyncio.to_thread(self._look, msgspec.json.decode(call.payload, type=Payload).version)

    def _look(self, wanted: str) -> Seen:
        try:
            state = json.loads(self._state.read_bytes())
            version, roles = str(state["version"]), {role["role"]: role["state"] for role in state["roles"]}
        except (OSError, ValueError, KeyError) as error:
            return Seen(Sight.UNKNOWN, f"the supervisor tells nothing: {type(error).__name__}")
        if version != wanted:
            return Seen(Sight.ABSENT, f"{version} runs")
        away = sorted(f"{role} {state}" for role, state in roles.items() if state != "ready")
        if away:
            return Seen(Sight.ABSENT, f"{version} runs, but {', '.join(away)}")
        health = self._health()
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state["started_at"] / SECOND))
        text = f"{version} runs since {since}, {len(roles)} roles ready, health {health}"
        return Seen(Sight.PRESENT if health == "ok" else Sight.ABSENT, text)

    def _health(self) -> str:
        web = self._web
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 (only compared)
        if web.tls_certificate:
            context = ssl.create_default_context(cafile=web.tls_certificate)
            context.check_hostname = False  # the very certificate is pinned
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, web.port, timeout=_HEALTH_S, context=context
            )
        else:
            made = http.client.HTTPConnection(host, web.port, timeout=_HEALTH_S)
        try:
            with closing(made) as connection:
                connection.request("GET", "/v1/health")
                response = connection.getresponse()
                return str(json.loads(response.read())["status"]) if response.status == 200 else str(response.status)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            return f"not told ({type(error).__name__})"
