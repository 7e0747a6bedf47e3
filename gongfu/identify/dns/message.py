"""DNS messages: a query in, an answer out (RFC 1035 §4, EDNS of RFC 6891).

A server reads one question and perhaps an OPT record and writes answers whose records are all of the question's name or
of a zone's: no general codec is needed, nor one that follows compression in what strangers send.
"""

import struct
from enum import IntEnum

import msgspec

HEADER_BYTES = 12
# RFC 6891 §6.2.5 lets a server choose; this one is not cut into fragments on any usual way (DNS flag day 2020).
UDP_BYTES = 1232
LEAST_UDP_BYTES = 512
MAX_MESSAGE_BYTES = 65_535
MAX_LABEL_BYTES = 63
MAX_NAME_BYTES = 255
CLASS_IN = 1
# A name that begins where the question does.
QUESTION_NAME = b"\xc0\x0c"

_HEADER = struct.Struct(">HHHHHH")
_PAIR = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_DNSSEC_OK = 0x8000

_QR, _AA, _TC, _RD, _CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
_OPCODE = 0x7800


class Type(IntEnum):
    """Types of records that are spoken of here."""

    A = 1
    NS = 2
    SOA = 6
    HINFO = 13
    TXT = 16
    AAAA = 28
    NAPTR = 35
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255
    URI = 256


class Rcode(IntEnum):
    """What an answer says (RFC 1035 §4.1.1, RFC 6891 §9)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Query(msgspec.Struct, frozen=True, gc=False):
    """A query.

    Attributes:
        id: chosen by the client.
        flags: as they came.
        labels: of the name, as they came.
        type: of the records that are asked for.
        kind: class, IN as a rule.
        question: bytes of the question, as they came; empty where it could not be read.
        udp_bytes: how long an answer over UDP may be.
        edns: version that the client speaks; None without an OPT record.
        dnssec: whether the client wants signatures; is repeated in the answer.
    """

    id: int
    flags: int
    labels: tuple[bytes, ...] = ()
    type: int = 0
    kind: int = CLASS_IN
    question: bytes = b""
    udp_bytes: int = LEAST_UDP_BYTES
    edns: int | None = None
    dnssec: bool = False


class QueryError(Exception):
    """What came is answered with an error, whatever it asks for.

    Attributes:
        code: what to answer.
        query: as far as it was read.
    """

    def __init__(self, code: Rcode, query: Query) -> None:
        super().__init__(code.name)
        self.code = code
        self.query = query


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of an answer.

    Attributes:
        type: of it.
        ttl: seconds.
        data: as on the wire, without compression.
        owner: its name on the wire; the question's as a rule.
    """

    type: int
    ttl: int
    data: bytes
    owner: bytes = QUESTION_NAME


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is answered to a question.

    Attributes:
        code: NOERROR without records is that the name is there, but nothing of the type.
        records: of the answer section.
        authority: of the authority section: the SOA where there is nothing.
        authoritative: the zone is this server's.
    """

    code: Rcode = Rcode.NOERROR
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    authoritative: bool = True


def is_query(data: bytes) -> bool:
    """Return whether anybody should be answered: the bytes have a header, and it is not that of an answer."""
    return len(data) >= HEADER_BYTES and not data[2] & 0x80


def read_query(data: bytes) -> Query:
    """Return the query that the bytes say; ``is_query`` they are.

    Raises:
        QueryError: NOTIMP: another operation; FORMERR: not one question, or not as the RFCs have it; BADVERS.
    """
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    head = Query(number, flags)
    if flags & _OPCODE:
        raise QueryError(Rcode.NOTIMP, head)
    if questions != 1 or answers or authorities or additional > 2:
        raise QueryError(Rcode.FORMERR, head)
    labels, at = _name(data, HEADER_BYTES, head)
    if len(data) < at + 4:
        raise QueryError(Rcode.FORMERR, head)
    kind, family = _PAIR.unpack_from(data, at)
    at += 4
    query = Query(number, flags, labels, kind, family, data[HEADER_BYTES:at])
    for _ in range(additional):
        query, at = _additional(data, at, query)
    if at != len(data) or kind == Type.OPT:
        raise QueryError(Rcode.FORMERR, query)
    if query.edns:
        raise QueryError(Rcode.BADVERS, query)
    return query


def _name(data: bytes, at: int, head: Query) -> tuple[tuple[bytes, ...], int]:
    labels, start = list[bytes](), at
    while True:
        if at >= len(data):
            raise QueryError(Rcode.FORMERR, head)
        size = data[at]
        # Nothing precedes a question that its name could point to.
        if size > MAX_LABEL_BYTES or at + size - start >= MAX_NAME_BYTES:
            raise QueryError(Rcode.FORMERR, head)
        if not size:
            return tuple(labels), at + 1
        label = data[at + 1 : at + 1 + size]
        if len(label) != size:
            raise QueryError(Rcode.FORMERR, head)
        labels.append(label)
        at += 1 + size


def _additional(data: bytes, at: int, query: Query) -> tuple[Query, int]:
    """Read an OPT record, or step over another one (a signature of a transaction, which this server does not check)."""
    labels, at = _name(data, at, query)
    if len(data) < at + _RECORD.size:
        raise QueryError(Rcode.FORMERR, query)
    kind, size, more, length = _RECORD.unpack_from(data, at)
    at += _RECORD.size + length
    if len(data) < at:
        raise QueryError(Rcode.FORMERR, query)
    if kind != Type.OPT:
        return query, at
    if labels or query.edns is not None:
        raise QueryError(Rcode.FORMERR, query)
    udp_bytes = min(max(size, LEAST_UDP_BYTES), UDP_BYTES)
    changes = {"udp_bytes": udp_bytes, "edns": more >> 16 & 0xFF, "dnssec": bool(more & _DNSSEC_OK)}
    return msgspec.structs.replace(query, **changes), at


def write_answer(query: Query, answer: Answer, limit: int) -> bytes:
    """Return the bytes of an answer; it is marked as truncated, and has no records, where it would be too long."""
    sections = [_record(record) for record in answer.records]
    authority = [_record(record) for record in answer.authority]
    opt = _opt(query, answer.code)
    size = HEADER_BYTES + len(query.question) + sum(map(len, sections)) + sum(map(len, authority)) + len(opt)
    flags = _QR | query.flags & (_OPCODE | _RD | _CD) | answer.code & 0xF
    if answer.authoritative:
        flags |= _AA
    if size > limit:
        flags |= _TC
        sections, authority = [], []
    head = _HEADER.pack(query.id, flags, 1 if query.question else 0, len(sections), len(authority), 1 if opt else 0)
    return b"".join((head, query.question, *sections, *authority, opt))


def _record(record: Record) -> bytes:
    return record.owner + _RECORD.pack(record.type, CLASS_IN, record.ttl, len(record.data)) + record.data


def _opt(query: Query, code: int) -> bytes:
    if query.edns is None:
        return b""
    more = code >> 4 << 24 | (_DNSSEC_OK if query.dnssec else 0)
    return b"\0" + _RECORD.pack(Type.OPT, UDP_BYTES, more, 0)


def wire_name(labels: tuple[bytes, ...]) -> bytes:
    """Return the bytes of a name.

    Raises:
        ValueError: a label is empty or longer than 63 bytes, or the name longer than 255.
    """
    if any(not 0 < len(label) <= MAX_LABEL_BYTES for label in labels):
        raise ValueError("a label has 1 to 63 bytes")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > MAX_NAME_BYTES:
        raise ValueError("a name has at most 255 bytes")
    return encoded
