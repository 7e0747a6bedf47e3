"""What the order engines of a parent and a child say to each other, as MessagePack.

Down: ``order`` (a signed order and the targets it has at or below the child, fixed by its issuer), ``revocation``,
``remember`` (registers that a restored child may have lost), ``want`` (orders of which only registers have come). Up:
``registers`` (changed ones, many in a message), ``copy`` (an order that was wanted).
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gongfu.tree.host.section import Refusal
from gongfu.tree.orders.combined import Registers
from gongfu.tree.orders.types import MAX_BODY, Execution, NodeId, OrderId, Signed, State, Verdict

ORDER = "order"
REVOCATION = "revocation"
REGISTERS = "registers"
REMEMBER = "remember"
WANT = "want"
COPY = "copy"

TARGETS_LIMIT = 8000
"""Ids of targets in one message (200 kB); an order with more takes several."""
REGISTERS_BYTES = 48 * 1024
"""Of registers in one message; one that is larger travels alone."""
_REGISTERS_LIMIT = 4000
_DETAIL_LIMIT = 1000
_EVIDENCE_LIMIT = 4000
_LAST_MOMENT = 2**63 - 1

_Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]


class OrderMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An order, and which nodes at or below the child it was issued to. The same order may come again, with others."""

    body: Annotated[bytes, Meta(max_length=MAX_BODY)]
    signature: _Signature
    targets: Annotated[tuple[NodeId, ...], Meta(max_length=TARGETS_LIMIT)]

    @property
    def signed(self) -> Signed:
        """The document."""
        return Signed(self.body, self.signature)


class RevocationMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A revocation."""

    body: Annotated[bytes, Meta(max_length=MAX_BODY)]
    signature: _Signature

    @property
    def signed(self) -> Signed:
        """The document."""
        return Signed(self.body, self.signature)


class CopyMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An order that the receiver issued and has lost; its revocation is empty when there is none."""

    body: Annotated[bytes, Meta(max_length=MAX_BODY)]
    signature: _Signature
    targets: Annotated[tuple[NodeId, ...], Meta(max_length=TARGETS_LIMIT)]
    revocation_body: Annotated[bytes, Meta(max_length=MAX_BODY)] = b""
    revocation_signature: Annotated[bytes, Meta(max_length=64)] = b""

    @property
    def signed(self) -> Signed:
        """The document."""
        return Signed(self.body, self.signature)

    @property
    def revocation(self) -> Signed:
        """The revocation, if there is one."""
        return Signed(self.revocation_body, self.revocation_signature)


T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_order_in = msgspec.msgpack.Decoder(OrderMessage)
_revocation_in = msgspec.msgpack.Decoder(RevocationMessage)
_copy_in = msgspec.msgpack.Decoder(CopyMessage)
_want_in = msgspec.msgpack.Decoder(OrderId)
_registers_in = msgspec.msgpack.Decoder(list[Registers])


def encode(message: OrderMessage | RevocationMessage | CopyMessage | str) -> bytes:
    """Return the bytes of a message."""
    return _encoder.encode(message)


def encode_registers(stored: list[bytes]) -> list[bytes]:
    """Return messages with registers, given as they are stored (``target_records.registers_bytes``)."""
    messages: list[bytes] = []
    batch: list[msgspec.Raw] = []
    size = 0
    for data in stored:
        if batch and (size + len(data) > REGISTERS_BYTES or len(batch) == _REGISTERS_LIMIT):
            messages.append(_encoder.encode(batch))
            batch, size = [], 0
        batch.append(msgspec.Raw(data))
        size += len(data)
    if batch:
        messages.append(_encoder.encode(batch))
    return messages


def decode_order(body: bytes) -> OrderMessage:
    """Return an ``order`` message.

    Raises:
        Refusal: ``message-malformed``.
    """
    return _decoded(_order_in, body)


def decode_revocation(body: bytes) -> RevocationMessage:
    """Return a ``revocation`` message.

    Raises:
        Refusal: ``message-malformed``.
    """
    return _decoded(_revocation_in, body)


def decode_want(body: bytes) -> str:
    """Return the id of the order that is wanted.

    Raises:
        Refusal: ``message-malformed``.
    """
    return _decoded(_want_in, body)


def decode_copy(body: bytes) -> CopyMessage:
    """Return a ``copy`` message.

    Raises:
        Refusal: ``message-malformed``.
    """
    return _decoded(_copy_in, body)


def decode_registers(body: bytes) -> list[Registers]:
    """Return the registers of a ``registers`` or ``remember`` message; each is of one order and target.

    Raises:
        Refusal: ``message-malformed``.
    """
    found = _decoded(_registers_in, body)
    if len(found) > _REGISTERS_LIMIT or not all(map(_possible, found)):
        raise Refusal("message-malformed", "registers that nobody writes")
    return found


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("message-malformed", str(error)[:200]) from None


def _possible(registers: Registers) -> bool:
    execution, verdict = registers.execution, registers.verdict
    if execution is None:
        return verdict is not None and _verdict_possible(verdict)
    if verdict is not None and (verdict.order, verdict.target) != (execution.order, execution.target):
        return False
    return _execution_possible(execution) and (verdict is None or _verdict_possible(verdict))


def _execution_possible(execution: Execution) -> bool:
    return (
        _named(execution)
        and execution.state is not State.ISSUED
        and 0 <= execution.claim <= execution.revision
        and 0 <= execution.attempt <= execution.revision
        and len(execution.reason) <= 60
        and len(execution.detail) <= _DETAIL_LIMIT
    )


def _verdict_possible(verdict: Verdict) -> bool:
    return (
        _named(verdict)
        and 0 <= verdict.claim <= _LAST_MOMENT
        and len(verdict.reason) <= 60
        and len(verdict.evidence) <= _EVIDENCE_LIMIT
    )


def _named(register: Execution | Verdict) -> bool:
    return (
        8 <= len(register.order) <= 64
        and register.order.isascii()
        and register.order.replace("-", "").isalnum()
        and _is_node(register.target)
        and _is_node(register.signer)
        and 1 <= register.revision <= _LAST_MOMENT
        and 0 <= register.at <= _LAST_MOMENT
    )


def _is_node(text: str) -> bool:
    return len(text) == 24 and text.isascii() and text.isalnum()
