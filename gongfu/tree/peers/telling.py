"""Contracts in turns: those from above are believed, stored and passed on to the children that they concern."""

from gongfu.tree.host.section import Refusal, Turn
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.peers import records
from gongfu.tree.peers.admission import Known
from gongfu.tree.peers.contract import (
    Contract,
    Denial,
    Disbelieved,
    Party,
    believe_contract,
    believe_end,
    signer_of,
)

CONTRACT, CONTRACT_END = "contract", "contract-end"


def _key_above(directory: Directory, peer: str, signer: str) -> bytes:
    """Return the key of a node above, from which a contract came by way of the parent."""
    if peer != directory.parent:
        raise Refusal(Denial.WRONG_WAY, "contracts come from above")
    if signer == directory.node:
        raise Refusal(Denial.ANCESTOR_NOT_ABOVE, "an own contract comes back")
    try:
        return directory.chain.key_of(signer)
    except Refused as error:
        raise Refusal(Denial.ANCESTOR_NOT_ABOVE, error.detail) from None


def take_contract(directory: Directory, turn: Turn, peer: str, body: bytes) -> None:
    """Take a contract from the parent.

    Raises:
        Refusal: it is not believed.
    """
    try:
        signer, signed = signer_of(body)
        contract = believe_contract(signed, _key_above(directory, peer, signer))
    except Disbelieved as error:
        raise Refusal(error.denial, error.detail) from None
    found = records.find_contract(turn.connection, contract.id)
    if found is None:
        records.add_contract(turn.connection, contract, body)
        turn.audit("peers.contract-received", f"contract/{contract.id}", f"of {signer}")
        found = Known(contract), None
    elif found[0].contract != contract:
        raise Refusal(Denial.CONTRACT_CHANGED, contract.id)
    _pass_on(directory, turn, found[0], body, b"")


def take_end(directory: Directory, turn: Turn, peer: str, body: bytes) -> None:
    """Take the end of a contract from the parent.

    Raises:
        Refusal: it is not believed, or the contract is not known.
    """
    try:
        signer, signed = signer_of(body)
        end = believe_end(signed, _key_above(directory, peer, signer))
    except Disbelieved as error:
        raise Refusal(error.denial, error.detail) from None
    found = records.find_contract(turn.connection, end.contract)
    if found is None or found[0].contract.ancestor != signer:
        raise Refusal(Denial.CONTRACT_UNKNOWN, end.contract)
    known, row = found
    if not known.ended_at:
        records.end_contract(turn.connection, end, body)
        turn.audit("peers.contract-ended", f"contract/{end.contract}", end.reason)
    _pass_on(directory, turn, Known(known.contract, max(1, end.ended_at)), row.signed, body)


def _pass_on(directory: Directory, turn: Turn, known: Known, signed: bytes, end: bytes) -> None:
    for child in directory.children():
        if concerns(directory, known.contract, child.node):
            told = records.told_to(turn.connection, child.node).get(known.contract.id)
            _tell(turn, child.node, known, signed, end, told)


def concerns(directory: Directory, contract: Contract, child: str) -> bool:
    """Return whether calls under a contract may come to a child, from it, or through it."""

    def reaches(party: Party) -> bool:
        if party.subtree and party.node in directory.chain.nodes and directory.node != contract.ancestor:
            return True
        return directory.towards(party.node) == child

    return reaches(contract.caller) or reaches(contract.callee)


def bring(directory: Directory, turn: Turn, child: str) -> None:
    """Tell a child what concerns it and it was not told yet."""
    told = records.told_to(turn.connection, child)
    for known, signed, end in records.to_tell(turn.connection, turn.now):
        if concerns(directory, known.contract, child):
            _tell(turn, child, known, signed, end, told.get(known.contract.id))


def bring_all(directory: Directory, turn: Turn) -> None:
    """Tell all children."""
    for child in directory.children():
        bring(directory, turn, child.node)


def _tell(turn: Turn, child: str, known: Known, signed: bytes, end: bytes, told: int | None) -> None:
    """Send a contract, and its end, unless they were sent; ``told`` is the end that was, None when nothing was."""
    contract = known.contract.id
    if told is not None and (told or not known.ended_at):
        return
    try:
        if told is None:
            turn.send(child, CONTRACT, signed)
        if known.ended_at:
            turn.send(child, CONTRACT_END, end)
    except KeyError:
        # There is no link yet; the child is told when it comes up.
        return
    records.set_told(turn.connection, contract, child, known.ended_at, first=told is None)
