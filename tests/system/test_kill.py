"""Kill -9 of every process of a node under load: what was acknowledged is readable, once."""

import asyncio
from pathlib import Path

from benchmarks.ingest.kill import TARGETS, KillPlan, run_kills


def test_one_kill_of_each_process_and_a_torn_block(tmp_path: Path) -> None:
    plan = KillPlan(kills=1, seed=3, devices=5, pause_s=(0.5, 1.5), torn=True)
    result = asyncio.run(run_kills(tmp_path, plan))
    assert result.kills == dict.fromkeys(TARGETS, 1)
    assert result.acknowledged > 500
    assert result.reconnects > 0
    assert result.lost == {}
    assert result.repeated == {}
    assert result.wrong == {}
