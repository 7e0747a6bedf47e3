"""One payload on its way through the columniser."""

from collections.abc import Sequence
from typing import Any

from gongfu.ingest.columnise.elements import Element
from gongfu.ingest.columnise.reasons import DETAIL_LIMIT, Reason, Shed
from gongfu.ingest.types import Done, Form, Receipt, Writer


class Job:
    """A payload and what has become of its points so far.

    Attributes:
        document: the parsed JSON when it is known already.
        elements: what was read from it, None before.
        index: the element to write next.
        attempts: how often the registry was asked for it.
        open_parts: number of its parts in blocks that are not settled.
        accepted, rejected, shed, detail: as in ``Receipt``.
    """

    __slots__ = (
        "accepted",
        "attempts",
        "context",
        "detail",
        "document",
        "done",
        "elements",
        "exact",
        "form",
        "index",
        "open_parts",
        "payload",
        "received",
        "rejected",
        "shed",
        "writer",
        "written",
    )

    def __init__(
        self, writer: Writer, form: Form, payload: bytes, received: int, done: Done | None, context: str
    ) -> None:
        self.writer = writer
        self.form = form
        self.payload = payload
        self.received = received
        self.done = done
        self.context = context
        self.elements: Sequence[Element] | None = None
        self.document: Any = None
        self.index = 0
        self.attempts = 0
        self.exact = False
        self.open_parts = 0
        self.written = False
        self.accepted = 0
        self.rejected: dict[str, int] = {}
        self.shed: dict[str, int] = {}
        self.detail = ""

    def reject(self, reason: Reason, n: int, detail: str) -> None:
        """Count rejected points; the first detail is kept."""
        self.rejected[reason.value] = self.rejected.get(reason.value, 0) + n
        if not self.detail:
            self.detail = detail[:DETAIL_LIMIT]

    def shed_points(self, reason: Shed, n: int) -> None:
        """Count shed points."""
        self.shed[reason.value] = self.shed.get(reason.value, 0) + n

    def remaining(self) -> int:
        """Return the number of points that are not yet written, at least 1 for a payload that was not read."""
        if self.elements is None:
            return 1
        return sum(element.points for element in self.elements[self.index :])

    def release(self) -> None:
        """Let go of the payload: all that can be written is; only the receipt is still to come."""
        self.written = True
        self.payload, self.document, self.elements, self.index = b"", None, [], 0

    def receipt(self) -> Receipt:
        """Return the receipt for what is known now."""
        return Receipt(self.accepted, self.rejected, self.shed, self.detail)
