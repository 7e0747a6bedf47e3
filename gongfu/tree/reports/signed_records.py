"""Signed records: made at a node, kept by its ancestors up to the tier that their kind states."""

import hashlib
from collections.abc import Sequence

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.membership.documents import DOCUMENT_LIMIT
from gongfu.tree.membership.keys import NodeId, Signed, decode_signed, encode_signed, sign, verify
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.types import NodeState
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import record_rows
from gongfu.tree.reports.cell_records import numbers, set_numbers
from gongfu.tree.reports.kind_exchange import KindExchange
from gongfu.tree.reports.messages import (
    RECORD,
    RECORD_POSITIONS,
    RECORDS_ASK,
    RecordMessage,
    RecordPositions,
    pack,
    unpack,
)
from gongfu.tree.reports.record_kinds import RecordKind

RECORD_CONTEXT = b"gongfu/record/1\n"
_MOST_BODY = DOCUMENT_LIMIT - 1_024
_MESSAGE_BYTES = 400_000
_FLOOR = "record-floor "


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node signs. ``sequence`` is 1, 2, … among its records of a kind; ``at`` is UTC ns."""

    kind: str
    node: NodeId
    sequence: int
    at: int
    body: msgspec.Raw


class RecordDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the API shows it; ``id`` is the SHA-256 of the signed document."""

    id: str
    kind: str
    node: str
    sequence: int
    at: str
    received_at: str
    body: msgspec.Raw


class SignedRecords:
    """Makes, verifies, keeps and passes on records. Everything is stored; nothing is in memory."""

    def __init__(self, directory: Directory, kinds: KindExchange, counters: Counters) -> None:
        self._directory = directory
        self._kinds = kinds
        self._counters = counters

    def start(self, host: Host) -> None:
        """Begin."""
        self._host = host

    async def add(self, subject: Subject, kind_name: str, body: bytes) -> RecordDoc:
        """Sign a document as a record of this node, and send it up.

        Raises:
            Problem: 404, no such kind of records; 400, the body is too large.
        """
        if self._kinds.record_kind(kind_name) is None:
            raise not_found(f"kind of records {kind_name[:80]!r}")
        if len(body) > _MOST_BODY:
            raise invalid(f"a record has at most {_MOST_BODY} bytes")

        def work(turn: Turn) -> RecordDoc:
            node = self._directory.node
            floor = numbers(turn.connection, _FLOOR).get(kind_name, 0)
            sequence = max(floor, record_rows.last_sequence(turn.connection, kind_name, node)) + 1
            record = Record(kind=kind_name, node=node, sequence=sequence, at=turn.now, body=msgspec.Raw(body))
            signed = sign(self._directory.key, RECORD_CONTEXT, msgspec.json.encode(record))
            self._store(turn, signed, record)
            self._pass_on(turn, kind_name, [signed])
            turn.audit("record.sign", kind_name, f"sequence {sequence}", subject=subject)
            return _document(record, encode_signed(signed), turn.wall)

        return await self._host.turn(work)

    def _store(self, turn: Turn, signed: Signed, record: Record) -> bool:
        data = encode_signed(signed)
        digest = hashlib.sha256(data).hexdigest()
        others = record_rows.with_sequence(turn.connection, record.kind, record.node, record.sequence)
        if others and digest not in others:
            # Both are true: the node was restored from a backup, and has signed another one since.
            turn.audit("record.sequence-reused", record.node, f"{record.kind} {record.sequence}")
        row = {
            "digest": digest,
            "kind": record.kind,
            "node": record.node,
            "sequence": record.sequence,
            "at": record.at,
            "received": turn.wall,
            "signed": data,
        }
        return record_rows.put(turn.connection, row)

    def _leaves(self, kind: RecordKind | None) -> bool:
        """Whether records of a kind go on from here; not of one that is not known (yet)."""
        above = [membership.tier for membership in self._directory.chain.memberships[:-1]]
        return kind is not None and bool(above) and (kind.up_to == "" or kind.up_to in above)

    def _pass_on(self, turn: Turn, kind: str, records: Sequence[Signed]) -> None:
        parent = self._directory.parent
        if parent is None or not records or not self._leaves(self._kinds.record_kind(kind)):
            return
        batch: list[Signed] = []
        size = 0
        try:
            for signed in records:
                batch.append(signed)
                size += len(signed.body)
                if size >= _MESSAGE_BYTES:
                    turn.send(parent, RECORD, pack(RecordMessage(tuple(batch))))
                    batch, size = [], 0
            if batch:
                turn.send(parent, RECORD, pack(RecordMessage(tuple(batch))))
        except KeyError:
            # There is no link yet: the parent says what it has when it comes.
            return

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take records of a child, or the parent's word of what it has."""
        if topic == RECORD_POSITIONS:
            if peer != self._directory.parent:
                raise Refusal("not-the-parent")
            upto = unpack(body, RecordPositions).upto
            # What the parent has of this node and the node has not: it was restored, and may not use them again.
            own = [(name.split(" "), sequence) for name, sequence in upto.items()]
            floors = {_FLOOR + name[0]: sequence for name, sequence in own if name[1:] == [self._directory.node]}
            set_numbers(turn.connection, floors)
            self._send_behind(turn, upto)
            return
        if topic == RECORDS_ASK:
            self.tell(turn, peer)
            return
        by_kind: dict[str, list[Signed]] = {}
        for signed in unpack(body, RecordMessage).records:
            record = self._verified(peer, signed)
            before = record_rows.last_sequence(turn.connection, record.kind, record.node)
            if self._store(turn, signed, record):
                by_kind.setdefault(record.kind, []).append(signed)
                turn.then(lambda: self._counters.add("records_taken"))
            if record.sequence > before + 1:
                turn.then(lambda: self.ask(peer))
        for kind, records in by_kind.items():
            self._pass_on(turn, kind, records)

    def _verified(self, peer: str, signed: Signed) -> Record:
        if self._directory.towards(signed.signer) != peer:
            raise Refusal("not-below", "a record of a node that is not below the child that brings it")
        membership = self._directory.member(signed.signer)
        if membership is None or self._directory.state(signed.signer) is not NodeState.ACTIVE:
            raise Refusal("not-active", "records of active nodes are taken only")
        try:
            record = msgspec.json.decode(verify(membership.public_key, RECORD_CONTEXT, signed), type=Record)
        except Refused as refused:
            raise Refusal(str(refused.reason), "a record that its node did not sign") from None
        except msgspec.MsgspecError:
            raise Refusal("malformed", "not a record") from None
        if record.node != signed.signer or not 1 <= record.sequence < 2**53 or not 0 <= record.at < 2**62:
            raise Refusal("malformed", "a record of another node, or a number is out of range")
        return record

    def _send_behind(self, turn: Turn, upto: dict[str, int]) -> None:
        for kind, node in record_rows.streams(turn.connection):
            data = record_rows.after(turn.connection, kind, node, upto.get(f"{kind} {node}", 0))
            self._pass_on(turn, kind, [decode_signed(signed) for signed in data])

    def tell(self, turn: Turn, child: str) -> None:
        """Tell a child what is here of it and of those below it: it sends what follows."""
        nodes = {m.node for m in self._directory.descendants() if self._directory.towards(m.node) == child}
        turn.send(child, RECORD_POSITIONS, pack(RecordPositions(record_rows.positions(turn.connection, nodes))))

    async def send_all(self) -> None:
        """Send all records that go on from here: their kind became known."""
        await self._host.turn(lambda turn: self._send_behind(turn, {}))

    def ask(self, child: str) -> None:
        """Tell a child what is here: something is missing."""

        def work(turn: Turn) -> None:
            try:
                self.tell(turn, child)
            except KeyError:
                return

        self._host.submit(work)

    async def list_(
        self, kind: str | None, node: str | None, limit: int, before: tuple[int, str] | None
    ) -> tuple[list[RecordDoc], tuple[int, str] | None]:
        """Return a page of records, last received first, and where the next begins."""
        rows = await self._host.read(lambda connection: record_rows.page(connection, kind, node, limit + 1, before))
        docs = [_document(_record(row.signed), row.signed, row.received) for row in rows[:limit]]
        more = rows[limit - 1] if len(rows) > limit else None
        return docs, (more.received, more.digest) if more is not None else None


def _record(data: bytes) -> Record:
    return msgspec.json.decode(decode_signed(data).body, type=Record)


def _document(record: Record, signed: bytes, received: int) -> RecordDoc:
    return RecordDoc(
        id=hashlib.sha256(signed).hexdigest(),
        kind=record.kind,
        node=record.node,
        sequence=record.sequence,
        at=format_rfc3339(record.at),
        received_at=format_rfc3339(received),
        body=record.body,
    )
