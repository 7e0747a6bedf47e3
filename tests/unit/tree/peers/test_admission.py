"""Admission of calls, and documents of contracts and calls: every rule, one after the other."""

import hashlib
from typing import Any

import msgspec
import pytest

from gongfu.tree.membership.keys import NodeKey, sign
from gongfu.tree.peers.admission import Known, Traffic, admission, is_party
from gongfu.tree.peers.calls import (
    Answer,
    Call,
    CallMessage,
    check_signature,
    encode,
    read_answer,
    read_call,
    read_message,
    signed_call,
)
from gongfu.tree.peers.contract import (
    END_CONTEXT,
    Contract,
    ContractEnd,
    Denial,
    Disbelieved,
    Party,
    believe_contract,
    believe_end,
    signed_contract,
    signed_end,
    signer_of,
)

NATION, EAST, WEST, OTHER = (NodeKey(bytes([i]) * 32) for i in range(1, 5))
NOW = 1_800_000_000_000_000_000
PAYLOAD = b'{"ask":1}'
FREE = Traffic(0, 0, 10)


def contract(**changed: Any) -> Contract:
    fields: dict[str, Any] = {
        "id": "contract-1",
        "ancestor": NATION.id,
        "caller": Party(EAST.id),
        "callee": Party(WEST.id),
        "kinds": ("echo",),
        "calls_per_minute": 3,
        "payload_bytes": 20,
        "valid_from": NOW,
        "valid_until": NOW + 100,
        "person": "ann",
        "made_at": NOW,
    }
    return Contract(**{**fields, **changed})


def call(**changed: Any) -> Call:
    fields: dict[str, Any] = {
        "id": "0" * 32,
        "contract": "contract-1",
        "kind": "echo",
        "caller": EAST.id,
        "callee": WEST.id,
        "digest": hashlib.sha256(PAYLOAD).digest(),
        "made_at": NOW,
        "deadline": NOW + 50,
    }
    return Call(**{**fields, **changed})


def judged(
    made: Call | None = None, known: Known | None = None, traffic: Traffic = FREE, now: int = NOW, data: bytes = PAYLOAD
) -> Denial | None:
    verdict = admission(
        made or call(), data, known or Known(contract()), traffic, now, caller_path=None, callee_path=None
    )
    return verdict[0] if verdict else None


def test_a_call_under_its_contract_goes_on() -> None:
    assert judged() is None
    assert judged(traffic=Traffic(2, 9, 10), now=NOW + 49) is None


def test_a_call_without_a_contract_does_not() -> None:
    verdict = admission(call(), PAYLOAD, None, FREE, NOW, caller_path=None, callee_path=None)
    assert verdict is not None
    assert verdict[0] is Denial.CONTRACT_UNKNOWN


@pytest.mark.parametrize(
    ("known", "now", "denial"),
    [
        (Known(contract(made_at=NOW - 2)), NOW - 1, Denial.NOT_YET_VALID),
        (Known(contract(valid_until=NOW + 10)), NOW + 10, Denial.EXPIRED),
        (Known(contract(), NOW), NOW, Denial.REVOKED),
        (Known(contract(caller=Party(OTHER.id))), NOW, Denial.CALLER_NOT_PARTY),
        (Known(contract(callee=Party(OTHER.id))), NOW, Denial.CALLEE_NOT_PARTY),
        (Known(contract(kinds=("read",))), NOW, Denial.KIND_NOT_COVERED),
        (Known(contract(payload_bytes=len(PAYLOAD) - 1)), NOW, Denial.PAYLOAD_TOO_LARGE),
        (Known(contract()), NOW + 50, Denial.CALL_EXPIRED),
    ],
)
def test_what_the_contract_does_not_say_is_denied(known: Known, now: int, denial: Denial) -> None:
    assert judged(known=known, now=now) is denial


def test_a_contract_that_holds_from_its_making_holds_where_the_time_is_estimated_earlier() -> None:
    assert judged(known=Known(contract(made_at=NOW)), now=NOW - 1) is None


def test_flood_and_waiting_calls_are_bounded() -> None:
    assert judged(traffic=Traffic(3, 0, 10)) is Denial.RATE_EXCEEDED
    assert judged(traffic=Traffic(0, 10, 10)) is Denial.BUSY


def test_another_payload_than_the_signed_one_is_denied() -> None:
    assert judged(data=b'{"ask":2}') is Denial.FORGED


def test_a_subtree_is_a_party_with_all_below() -> None:
    whole = Party(EAST.id, subtree=True)
    assert is_party(whole, OTHER.id, [NATION.id, EAST.id, OTHER.id])
    assert not is_party(whole, OTHER.id, [NATION.id, WEST.id, OTHER.id])
    assert not is_party(Party(EAST.id), OTHER.id, [NATION.id, EAST.id, OTHER.id])
    assert not is_party(Party(EAST.id), OTHER.id, None)
    # Where it is cannot be known here: the ancestor has looked.
    assert is_party(whole, OTHER.id, None)


def test_only_the_ancestor_signs_and_nothing_else_means_a_contract() -> None:
    data = signed_contract(NATION, contract())
    signer, signed = signer_of(data)
    assert signer == NATION.id
    assert believe_contract(signed, NATION.public_key) == contract()
    for wrong in (
        lambda: believe_contract(signer_of(signed_contract(WEST, contract()))[1], WEST.public_key),
        lambda: believe_contract(signed, WEST.public_key),
        lambda: believe_end(signed, NATION.public_key),
        lambda: signer_of(data[:-1]),
        lambda: signer_of(b""),
    ):
        with pytest.raises(Disbelieved):
            wrong()
    changed = msgspec.structs.replace(
        signed, body=signed.body.replace(b'"calls_per_minute":3', b'"calls_per_minute":9')
    )
    assert changed.body != signed.body
    with pytest.raises(Disbelieved) as error:
        believe_contract(changed, NATION.public_key)
    assert error.value.denial is Denial.FORGED


def test_the_end_of_a_contract_is_a_document_of_its_own() -> None:
    end = ContractEnd(contract="contract-1", ancestor=NATION.id, person="ann", reason="over", ended_at=NOW)
    assert believe_end(signer_of(signed_end(NATION, end))[1], NATION.public_key) == end
    with pytest.raises(Disbelieved):
        believe_end(signer_of(signed_end(WEST, end))[1], WEST.public_key)
    with pytest.raises(Disbelieved) as error:
        believe_end(sign(NATION, END_CONTEXT, b'{"contract":"x"}'), NATION.public_key)
    assert error.value.denial is Denial.MALFORMED


def test_a_call_is_signed_by_its_caller() -> None:
    message = read_message(encode(CallMessage(signed_call(EAST, call()), PAYLOAD)))
    assert read_call(message) == call()
    check_signature(message, EAST.public_key)
    with pytest.raises(Disbelieved):
        check_signature(message, WEST.public_key)
    with pytest.raises(Disbelieved):
        check_signature(CallMessage(signed_call(WEST, call()), PAYLOAD), EAST.public_key)


def test_damaged_messages_are_malformed_and_nothing_worse() -> None:
    message = encode(CallMessage(signed_call(EAST, call()), PAYLOAD))
    answer = encode(Answer("0" * 32, WEST.id, payload=PAYLOAD))
    assert read_answer(answer).payload == PAYLOAD
    denials: set[Denial] = set()
    for data, read in ((message, read_message), (answer, read_answer)):
        for i in range(0, len(data), 7):
            for damaged in (data[:i], data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :]):
                try:
                    found = read(damaged)
                    if isinstance(found, CallMessage):
                        read_call(found)
                except Disbelieved as error:
                    denials.add(error.denial)
    assert denials == {Denial.MALFORMED}
    with pytest.raises(Disbelieved):
        read_call(CallMessage(b"\xff" * 40, b""))
