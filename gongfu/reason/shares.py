"""The partitions a worker has at present, seen as one: latest values, rule states, gauges."""

from collections import Counter
from collections.abc import Iterable

from gongfu.reason.latest import answer_latest
from gongfu.reason.partition import PartitionRun
from gongfu.reason.running import RunningAnswer, RunningRequest, running_rules
from gongfu.reason.seen import AssetsOfSeries, SeenAnswer, SeenRequest, answer_seen
from gongfu.reason.status import LatestAnswer, LatestItem, LatestRequest, ReasonState, StateRequest, merge_states

# The same rules run in every partition.
_EVERYWHERE = ("rules_compiled", "rules_compiling")


class Shares:
    """Partition runs by partition."""

    def __init__(self) -> None:
        self.runs: dict[int, PartitionRun] = {}

    def latest(self, request: LatestRequest) -> LatestAnswer:
        """Return the latest values of the series that are in one of the partitions.

        Raises:
            Problem: 400 when too many are asked for.
        """
        answers = [answer_latest(run.pipeline.twins, request) for run in self.runs.values()]
        if len(answers) == 1:
            return answers[0]
        return LatestAnswer(newest(item for answer in answers for item in answer.items))

    def seen(self, request: SeenRequest, assets: AssetsOfSeries) -> SeenAnswer:
        """Return which assets sent something lately; blocks."""
        return answer_seen(request, [run.pipeline.twins for run in list(self.runs.values())], assets)

    def running(self, request: RunningRequest) -> RunningAnswer:
        """Return the rules with some names, as they run in each partition."""
        return RunningAnswer({
            str(partition): running_rules(run.pipeline.engine.rules.values(), request)
            for partition, run in sorted(self.runs.items())
        })  # fmt: skip

    def state(self, request: StateRequest | None = None) -> ReasonState:
        """Return what rules do."""
        wanted = None if request is None else request.rules
        return merge_states([
            ReasonState(
                run.pipeline.rule_states(wanted),
                {str(partition): run.pipeline.position(partition)},
                run.watch.lag,
            )
            for partition, run in sorted(self.runs.items())
        ])  # fmt: skip

    def gauges(self) -> dict[str, float]:
        """Return the sums over the partitions; of rules, which run in all of them, the most."""
        total: Counter[str] = Counter()
        rules: dict[str, float] = {}
        for run in self.runs.values():
            gauges = run.pipeline.gauges()
            for name in _EVERYWHERE:
                rules[name] = max(rules.get(name, 0.0), gauges.pop(name))
            total.update(gauges)
            total.update(run.watch.lag)
        # Told at zero, too, as soon as there is a worker.
        return {"reason_blocks": 0.0, "history_blocks": 0.0, **total, **rules, "partitions": float(len(self.runs))}


def newest(items: Iterable[LatestItem]) -> list[LatestItem]:
    """Return one item a series: while a partition changes hands, two may know it."""
    found: dict[int, LatestItem] = {}
    for item in items:
        known = found.get(item.series)
        if known is None or (item.time, item.ingested) > (known.time, known.ingested):
            found[item.series] = item
    return list(found.values())
