"""Learn normal operation of a plant from its history, and judge the samples that come after."""

import numpy as np

from gongfu.appkit.contract import Context, PointInfo

from . import keeping
from .alarm_run import follow
from .explanation import Cause, causes, explain
from .gathering import SECOND, gather, grid, usable
from .keeping import Judged, Kept, Variable
from .monitor import MOST_MISSING, Carried, Evaluation, Monitor
from .normal_operation import Array, TooLittleData
from .storing import pack_carried, pack_trained, unpack_carried, unpack_trained
from .training import train

INDEX, T2, Q = "monitoring index", "monitoring t2", "monitoring q"
OWN = (INDEX, T2, Q)
# The time of one run of the job is enough for so many samples; the others follow in the next.
SAMPLES_A_RUN = 4000
MOST_VARIABLES = 500
PARTS = 10
# A sample that cannot be judged yet is waited for so long: devices send late what they could not send.
WAIT_NS = 60 * SECOND
WAIT_PERIODS = 10


def learn(context: Context, kept: Kept) -> None:
    """Learn from the period a monitor was asked to learn from; what goes wrong is noted at the monitor."""
    assert kept.asked_from is not None
    assert kept.asked_to is not None
    found = points_of(context, kept)
    times = grid(kept.asked_from, kept.asked_to, kept.period)
    try:
        if len(found) > MOST_VARIABLES:
            raise TooLittleData(f"{kept.asset} has {len(found)} points; a monitor takes at most {MOST_VARIABLES}")
        if not found or not len(times):
            raise TooLittleData(f"there are no points below {kept.asset} that the app may read")
        table, intervals = gather(context, [(info.asset, info.point) for info in found], times, kept.period)
        reasons = usable(table)
        used = [place for place, reason in enumerate(reasons) if not reason]
        if len(used) < 2:
            raise TooLittleData("fewer than two points have numbers that move in the period")
        samples = table[:, used]
        samples = samples[np.isfinite(samples).all(axis=1)]
        trained = train(samples)
    except (TooLittleData, PermissionError) as error:
        keeping.failed(context.records, kept.id, str(error))
        return
    monitor = Monitor(trained)
    summary = {
        "from_ms": kept.asked_from // 10**6,
        "to_ms": kept.asked_to // 10**6,
        "variables": len(used),
        "samples": trained.samples,
        "lags": trained.normal.lags,
        "shrinkage": trained.normal.shrinkage,
        "leading": trained.normal.leading,
        "t2_limit": trained.limits.t2,
        "q_limit": trained.limits.q,
        "false_alarms": trained.false_alarms,
    }
    carried = pack_carried(monitor.begin())
    keeping.learnt(context.records, kept, found, intervals, reasons, pack_trained(trained), carried, summary)
    context.log(f"monitor {kept.name} learnt from {trained.samples} samples of {len(used)} variables")


def points_of(context: Context, kept: Kept) -> list[PointInfo]:
    """Return the points of a monitor's asset and of those below it, without what monitors write."""
    found = [*context.points(kept.asset, kept.point), *context.points(f"{kept.asset}/**", kept.point)]
    return [info for info in found if info.point not in OWN]


def watch(context: Context, kept: Kept, until: int) -> None:
    """Judge the samples of a monitor from its position to ``until`` (UTC ns), at most ``SAMPLES_A_RUN``.

    Samples of which too much is missing are waited for, and with them all after them.
    """
    assert kept.trained is not None
    assert kept.carried is not None
    assert kept.position is not None
    times = grid(kept.position, until, kept.period)[:SAMPLES_A_RUN]
    if not len(times):
        return
    variables = [one for one in keeping.variables(context.records, kept.id) if one.used >= 0]
    monitor = Monitor(unpack_trained(kept.trained))
    points, intervals = [(one.asset, one.point) for one in variables], [one.interval for one in variables]
    table, _ = gather(context, points, times, kept.period, intervals)
    ready = _ready(table, times.tolist(), until - max(WAIT_NS, WAIT_PERIODS * kept.period))
    if not ready:
        return
    times = times[:ready]
    found, carried = monitor.evaluate(table[:ready], unpack_carried(kept.carried))
    _store(context, kept, variables, times.tolist(), found, carried)


def _ready(table: Array, times: list[int], waited: int) -> int:
    """Return how many of the first samples can be judged, or were waited for."""
    for place in np.flatnonzero(np.isnan(table).mean(axis=1) > MOST_MISSING).tolist():
        if times[place] > waited:
            return int(place)
    return len(times)


def _store(
    context: Context, kept: Kept, variables: list[Variable], times: list[int], found: Evaluation, carried: Carried
) -> None:
    """Write statistics, raise and return the alarm, and note how far the monitor is: last, so that nothing is lost."""
    known = np.flatnonzero(np.isfinite(found.index)).tolist()
    stamps = [times[place] for place in known]
    for point, values in ((INDEX, found.index), (T2, found.t2), (Q, found.q)):
        if stamps:
            context.write(kept.asset, point, stamps, values[known].tolist(), unit="1")
    run = kept.alarm_run
    key = f"monitor {kept.name}"
    for place, begins in follow(run, times, found.index.tolist()):
        value = float(found.index[place])
        if begins:
            text = explain(value, _causes(variables, found, place))
            context.raise_alarm(
                key, kept.asset, f"{kept.name}: {text}", time=times[place], point=INDEX, priority="high", value=value
            )
            keeping.alarm_began(context.records, kept.id, times[place], text)
        else:
            context.return_alarm(key, kept.asset, time=times[place], value=value)
            keeping.alarm_ended(context.records, kept.id, times[place])
    samples = [
        Judged(
            times[place],
            float(found.t2[place]),
            float(found.q[place]),
            float(found.index[place]),
            _parts(found, place),
        )
        for place in known
    ]
    keeping.judged(context.records, kept.id, samples, pack_carried(carried), run, times[-1] + 1)


def _causes(variables: list[Variable], found: Evaluation, place: int) -> list[Cause]:
    names, units = [one.name for one in variables], [one.unit for one in variables]
    return causes(names, units, found.falls[place], found.contributions.departure[place])


def _parts(found: Evaluation, place: int) -> list[tuple[int, float, float]]:
    falls, departures = found.falls[place], found.contributions.departure[place]
    order: list[int] = np.argsort(-falls, kind="stable")[:PARTS].tolist()
    return [(one, round(float(falls[one]), 4), float(departures[one])) for one in order]
