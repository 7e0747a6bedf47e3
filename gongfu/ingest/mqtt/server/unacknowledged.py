"""A PUBLISH whose PUBACK or PUBREC is still to be sent; each keeps its place in the order of its connection."""

from typing import TYPE_CHECKING

import msgspec

from gongfu.ingest.mqtt.codec.reasons import PacketType
from gongfu.ingest.types import Receipt

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.connection import Connection


class Unacknowledged(msgspec.Struct, eq=False):
    """Calling it with the receipt of a QoS 1 telemetry payload settles it.

    One is made for every message: a ``Struct`` takes a third of the time of a closure over a list.

    Attributes:
        connection: the client's.
        identifier: packet id, two bytes.
        packet: the acknowledgement once it may go out, empty to send none; None before.
    """

    connection: "Connection"
    identifier: bytes
    packet: bytes | None = None

    def __call__(self, receipt: Receipt) -> None:
        """Acknowledge, or say what was not taken."""
        connection = self.connection
        if receipt.rejected or receipt.shed:
            connection.settle(self, connection.dialogue.refusal(PacketType.PUBACK, self.identifier, receipt))
            return
        order = connection.order
        if connection.behind or order[0] is not self:
            connection.settle(self, b"@\x02" + self.identifier)
            return
        # What ``settle`` does for the oldest one when nothing waits behind it.
        order.popleft()
        if not order:
            connection.forget_order()
        out = connection.out
        if out is None:
            connection.out = [b"@\x02" + self.identifier]
            connection.context.mark(connection)
        else:
            out.append(b"@\x02" + self.identifier)
