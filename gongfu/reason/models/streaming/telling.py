"""From runs to what is told of bindings. Pure."""

from collections.abc import Iterable

import numpy as np

from gongfu.reason.models.placement import REFUSED, RUNNING, WORDS, Placement
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.sql.runner import Periods
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.models.streaming.types import AssetsAnswer, AssetsAsk, AssetState, ScopeState
from gongfu.store.twins.latest import NEVER

MAX_PAGE = 1000


def scope_state(placement: Placement, run: ModelRun | None) -> ScopeState:
    """Return the state of a binding; ``run`` is None when it cannot run at all."""
    counts = placement.counts()
    if run is None or placement.error:
        return ScopeState(status="refused", error=placement.error, assets={**counts, "failing": 0})
    slots = _slots(placement, run)
    figures, sampler = run.figures, run.sampler
    failing = int(figures.failing[slots].sum())
    last = int(figures.last_at[slots].max(initial=NEVER))
    if failing:
        status, error = "failing", figures.error or "the last rows of some assets were not computed"
    elif counts["running"]:
        status, error = "running", ""
    else:
        status, error = _idle(placement)
    return ScopeState(
        status=status,
        error=error,
        version=run.spec.version,
        evaluated=int(figures.rows[slots].sum()),
        failed=int(figures.lost[slots].sum()),
        incomplete=int(sampler.incomplete[slots].sum()),
        late=int(sampler.late[slots].sum()),
        shed=int(sampler.shed[slots].sum()),
        not_numbers=int(figures.odd[slots].sum()),
        last_at=None if last == NEVER else last,
        assets={**counts, "failing": failing},
        cpu_s=round(figures.cpu_s, 6),
        behind=run.behind,
    )


def period_state(spec: ModelSpec, placement: Placement, periods: Periods) -> ScopeState:
    """Return the state of a binding of a SQL model, which runs by the clock; ``failed`` counts its statements."""
    counts, failing = placement.counts(), len(periods.errors)
    error = placement.error or next((f"{path}: {text}" for path, text in periods.errors.items()), "")
    if placement.error:
        status = "refused"
    elif counts["running"]:
        status = "failing" if failing else "running"
    else:
        status, error = _idle(placement)
    return ScopeState(
        status=status,
        error=error,
        version=spec.version,
        evaluated=periods.rows,
        failed=periods.failed,
        not_numbers=periods.not_numbers,
        last_at=periods.last_at,
        assets={**counts, "failing": failing},
    )


def _idle(placement: Placement) -> tuple[str, str]:
    """Return status and reason of a binding of which no asset runs."""
    status = "refused" if placement.counts()["refused"] else "waiting"
    return status, next((reason for reason in placement.reasons if reason), "no asset matches yet")


def asset_states(placement: Placement, run: ModelRun | None, ask: AssetsAsk) -> AssetsAnswer:
    """Return one page of the assets of a binding."""
    limit = min(max(ask.limit, 1), MAX_PAGE)
    states = placement.states
    rows: Iterable[int]
    if ask.state in WORDS:
        rows = np.flatnonzero(states == WORDS.index(ask.state)).tolist()
    elif ask.state == "failing":
        rows = [at for at in placement.running.tolist() if _is_failing(placement, run, at)]
    else:
        rows = range(len(states))
    chosen = [at for at in rows if at >= ask.after][: limit + 1]
    items = [_asset(placement, run, at) for at in chosen[:limit]]
    return AssetsAnswer(items, chosen[limit] if len(chosen) > limit else None)


def _slots(placement: Placement, run: ModelRun) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    found = [run.slot_of(asset) for asset in placement.assets[placement.running].tolist()]
    return np.array([slot for slot in found if slot is not None], dtype=np.int64)


def _is_failing(placement: Placement, run: ModelRun | None, at: int) -> bool:
    slot = None if run is None else run.slot_of(int(placement.assets[at]))
    return run is not None and slot is not None and bool(run.figures.failing[slot])


def _asset(placement: Placement, run: ModelRun | None, at: int) -> AssetState:
    state, key, path = int(placement.states[at]), int(placement.assets[at]), placement.paths[at]
    slot = None if run is None else run.slot_of(key)
    if run is None or placement.error or state != RUNNING or slot is None:
        word = WORDS[REFUSED] if placement.error else WORDS[state]
        return AssetState(asset_id=key, asset_path=path, status=word, reason=placement.error or placement.reasons[at])
    figures, sampler = run.figures, run.sampler
    failing, last = bool(figures.failing[slot]), int(figures.last_at[slot])
    return AssetState(
        asset_id=key,
        asset_path=path,
        status="failing" if failing else "running",
        reason=figures.error if failing else "",
        evaluated=int(figures.rows[slot]),
        failed=int(figures.lost[slot]),
        incomplete=int(sampler.incomplete[slot]),
        late=int(sampler.late[slot]),
        not_numbers=int(figures.odd[slot]),
        last_at=None if last == NEVER else last,
        note=figures.notes.get(key, ""),
    )
