"""Contracts and calls in the records, on both databases."""

import hashlib

from sqlalchemy import Engine

from gongfu.store.records.engine import reading, writing
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.peers import records as peer_records
from gongfu.tree.peers.calls import Call
from gongfu.tree.peers.contract import (
    MINUTE,
    Contract,
    ContractEnd,
    Denial,
    Party,
    signed_contract,
    signed_end,
)

NATION, EAST, WEST = (NodeKey(bytes([i]) * 32) for i in range(1, 4))
NOW = 1_800_000_000_000_000_000


def contract(number: int, made_at: int = NOW) -> Contract:
    return Contract(
        id=f"contract-{number}", ancestor=NATION.id, caller=Party(EAST.id), callee=Party(WEST.id), kinds=("echo",),
        calls_per_minute=3, payload_bytes=20, valid_from=NOW, valid_until=NOW + 10 * MINUTE, person="ann",
        made_at=made_at,
    )  # fmt: skip


def call(number: int, deadline: int = NOW + MINUTE) -> Call:
    return Call(
        id=f"{number:032x}", contract="contract-0", kind="echo", caller=EAST.id, callee=WEST.id,
        digest=hashlib.sha256(b"1").digest(), made_at=NOW, deadline=deadline,
    )  # fmt: skip


def test_contracts_are_paged_ended_and_told_once(records: Engine) -> None:
    with writing(records) as connection:
        for number, made_at in enumerate((NOW, NOW, NOW + 1)):
            one = contract(number, made_at)
            peer_records.add_contract(connection, one, signed_contract(NATION, one))
    with reading(records) as connection:
        first = peer_records.list_contracts(connection, 2, None)
        rest = peer_records.list_contracts(connection, 2, (first[-1].made_at, first[-1].id))
        assert [row.id for row in (*first, *rest)] == ["contract-0", "contract-1", "contract-2"]
        assert peer_records.count_standing(connection, NATION.id, NOW) == 3
        assert peer_records.count_standing(connection, NATION.id, NOW + 10 * MINUTE) == 0
    end = ContractEnd(contract="contract-1", ancestor=NATION.id, person="ann", reason="over", ended_at=NOW + 5)
    with writing(records) as connection:
        peer_records.end_contract(connection, end, signed_end(NATION, end))
        peer_records.set_told(connection, "contract-1", EAST.id, 0, first=True)
        peer_records.set_told(connection, "contract-1", EAST.id, NOW + 5, first=False)
    with reading(records) as connection:
        found = peer_records.find_contract(connection, "contract-1")
        assert found is not None
        assert found[0].state(NOW) is Denial.REVOKED
        assert peer_records.count_standing(connection, NATION.id, NOW) == 2
        assert peer_records.told_to(connection, EAST.id) == {"contract-1": NOW + 5}
        assert peer_records.find_contract(connection, "contract-9") is None
    with writing(records) as connection:
        peer_records.forget_told(connection, EAST.id)
    with reading(records) as connection:
        assert peer_records.told_to(connection, EAST.id) == {}


def test_a_call_has_one_final_state_and_only_admitted_ones_count(records: Engine) -> None:
    with writing(records) as connection:
        peer_records.add_call(connection, call(1), NOW, went_to=NATION.id)
        peer_records.add_call(connection, call(2), NOW - MINUTE, came_from=NATION.id, payload=b"1")
        peer_records.add_call(connection, call(3), NOW, state=Denial.RATE_EXCEEDED)
        traffic = peer_records.traffic(connection, "contract-0", NOW, 9)
        assert (traffic.last_minute, traffic.open, traffic.most_open) == (1, 2, 9)
        assert peer_records.denied_lately(connection, "contract-0", Denial.RATE_EXCEEDED, NOW)
        assert not peer_records.denied_lately(connection, "contract-0", Denial.BUSY, NOW)
        assert not peer_records.denied_lately(connection, "contract-0", Denial.RATE_EXCEEDED, NOW + MINUTE)
        assert peer_records.close_call(connection, call(1).id, peer_records.ANSWERED)
        assert not peer_records.close_call(connection, call(1).id, Denial.TIMED_OUT)
        row = peer_records.find_call(connection, call(1).id)
        assert row is not None
        assert row.state == peer_records.ANSWERED
        assert [row.id for row in peer_records.open_calls(connection)] == [call(2).id]


def test_what_is_long_over_is_forgotten(records: Engine) -> None:
    with writing(records) as connection:
        for number, deadline in enumerate((NOW - 11, NOW - 1, NOW + 1)):
            peer_records.add_call(connection, call(number, deadline), NOW - MINUTE)
        peer_records.purge(connection, NOW, Denial.TIMED_OUT, 10)
        assert peer_records.find_call(connection, call(0).id) is None
        late, waiting = (peer_records.find_call(connection, call(number).id) for number in (1, 2))
        assert late is not None
        assert waiting is not None
        assert (late.state, waiting.state) == (Denial.TIMED_OUT, peer_records.OPEN)
