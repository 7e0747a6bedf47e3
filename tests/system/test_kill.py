"""Kill -9 of processes of a node under load: what was acknowledged is readable, once."""

import random
from pathlib import Path

import pytest

from benchmarks.ingest.kill import TARGETS, KillPlan, run_kills


def test_ten_random_kills_and_a_torn_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    with capsys.disabled():
        print(f" seed of the kills: {seed}", end=" ", flush=True)
    plan = KillPlan(kills=10, seed=seed, devices=5, rate=200.0, pause_s=(0.2, 1.5))
    result = run_kills(tmp_path, plan)
    assert sum(result.kills.values()) == 10
    assert set(result.kills) <= set(TARGETS)
    assert result.acknowledged > 500
    assert result.lost == {}
    assert result.repeated == {}
    assert result.wrong == {}
