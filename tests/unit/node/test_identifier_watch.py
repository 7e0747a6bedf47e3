from gongfu.node.identifier_watch import IdentifierWatch, percentile


def test_percentiles_are_times_that_were_measured() -> None:
    assert percentile([], 0.99) is None
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([float(n) for n in range(100)], 0.5) == 50.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0


def test_nothing_is_told_before_it_is_known() -> None:
    watch = IdentifierWatch("127.0.0.1", 0, "99.1")
    assert watch.latency() == {"p50": None, "p99": None}
    assert watch.reporting() == {"state": "none", "lag_seconds": None, "waiting": 0}
