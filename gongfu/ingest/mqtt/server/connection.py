"""One MQTT connection: bytes in, packets, bytes out. The hot path of the front door.

What fits into the credit of its device is handled as it comes; the rest waits for its turn (``FairReader``), and the
socket is not read meanwhile. Acknowledgements are written once a turn. A QoS 0 or 1 PUBLISH to a telemetry topic takes
the short way through ``_slice``; everything else goes through the decoder and ``Dialogue``.
"""

import logging
from typing import cast

from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.packets import MQTT_5
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason
from gongfu.ingest.mqtt.codec.splitter import INCOMPLETE, read_length
from gongfu.ingest.mqtt.server.client_socket import MAX_PENDING, NO_ORDER, ClientSocket
from gongfu.ingest.mqtt.server.context import DoorContext
from gongfu.ingest.mqtt.server.dialogue import Dialogue
from gongfu.ingest.mqtt.server.fairness import DIRECT_BYTES, PACKET_BYTES, SLICE_BYTES, SLICE_PACKETS
from gongfu.ingest.mqtt.server.refusing import refuse_slice
from gongfu.ingest.mqtt.server.unacknowledged import Unacknowledged
from gongfu.ingest.types import Writer

logger = logging.getLogger(__name__)

FIRST_CONNECT = PacketType.CONNECT << 4
# Above it a client that does not read its acknowledgements is not read either.
WRITE_STOP = 1024 * 1024


class Connection(ClientSocket):
    """A client, over TCP or TLS; the WebSocket listener feeds one through a transport of its own."""

    __slots__ = ()

    def __init__(self, context: DoorContext) -> None:
        super().__init__(context)
        self.dialogue = Dialogue(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self.active = now = self.context.time()
        if self._closed:
            return
        if self._part is not None:
            self._part += data
            if len(self._part) < self._need:
                return
            data = bytes(self._part)
            self._part = None
        if self._paused or self.waiting:
            # The transport may deliver once more after pause_reading.
            self._buffer = self._buffer[self._position :] + data
            self._position = 0
            return
        if not self._take_one(data, now):
            self._work(data, 0)

    def _take_one(self, data: bytes, now: float) -> bool:
        """Take what most devices send: a read that is one whole QoS 1 PUBLISH to a telemetry topic without subscribers.

        Return False, with nothing done, when it is something else or may not be taken now; ``_work`` knows what to do.
        """
        account, size = self.account, len(data)
        if account is None or account.counts or account.shut > now or size < _LEAST_PUBLISH or data[0] not in _ONCE:
            return False
        length, body = data[1], 2
        if length > 127:
            if data[2] > 127:
                return False
            length, body = (data[2] << 7) + length - 128, 3
        if body + length != size or length > self.limit:
            return False
        start = body + 2 + (data[body] << 8 | data[body + 1])
        route = self.routes.get(data[body + 2 : start])
        if route is None or (form := route.form) is None or route.unwatched != self.trie.version:
            return False
        after = start + 2
        identifier = data[start:after]
        if self.version == MQTT_5:
            if after >= size or data[after]:
                return False
            after += 1
        elif after > size:
            return False
        context = self.context
        intake = context.intake
        order = self.order
        # The last ones of the receive maximum go the careful way; so does all while the client does not read.
        if identifier == b"\0\0" or len(order) + 1 >= self.receive_maximum or self.congested:
            return False
        if context.saturated:
            return False
        if account.turn != now:
            account.turn = now
            account.credit = DIRECT_BYTES
            if now >= account.rolls_at:
                account.roll(now)
        elif account.credit <= 0:
            return False
        account.credit -= size + PACKET_BYTES
        context.fair.direct_at = now
        points = intake.points_in
        entry = Unacknowledged(self, identifier)
        (self.ordered if order is NO_ORDER else order).append(entry)
        try:
            intake.submit(account.writer, form, data[after:], context.now_ns(), entry, route.context)
        except Exception:
            self._fault()
        account.points += intake.points_in - points
        account.messages += 1
        account.bytes += size
        return True

    def _fault(self) -> None:
        """A fault of ours: without an end of the connection the client would wait for ever."""
        logger.exception("a packet could not be handled")
        self.context.counters.add("errors")
        self.drop("error")

    def go_on(self) -> None:
        """Continue with what has been held back, now that this connection need not wait any more."""
        if self._closed or self.waiting or self.queued:
            return
        buffer, position = self._buffer, self._position
        self._buffer, self._position = b"", 0
        self.read_on()
        if position < len(buffer) or self.order:
            self._work(buffer, position)
        else:
            self._nothing_held()

    def _work(self, data: bytes, position: int) -> None:
        """Handle bytes at once when they fit into what the device may send now, else keep them until it is its turn."""
        context, account = self.context, self.account
        if context.saturated:
            self._hold(data, position)
            context.hold(self)
            return
        if account is None:
            if self._handle(data, position, SLICE_PACKETS, SLICE_BYTES):
                context.loop.call_soon(self.go_on)
            return
        now = context.time()
        if account.turn != now:
            account.turn = now
            account.credit = DIRECT_BYTES
            if now >= account.rolls_at:
                account.roll(now)
        if account.shut > now or account.credit <= 0 or (account.counts and account.over_quota(now)):
            self._hold(data, position)
            context.fair.wait(self, account, now)
            return
        most = SLICE_PACKETS
        if account.counts:
            if account.over_since is not None:
                account.look_at_pause(now)
            most = account.messages_left(now, most)
        context.fair.direct_at = now
        if self._handle(data, position, most, int(account.credit)):
            context.fair.wait(self, account, now)

    def serve(self, most: int, size: int) -> bool:
        """Handle up to ``most`` packets of what is held back, and no further one after ``size`` bytes.

        Return whether there is more; ``cost`` is what it has cost.
        """
        data, position = self._buffer, self._position
        self._buffer, self._position = b"", 0
        return self._handle(data, position, most, size)

    def refuse(self, reason: str, late: bool, everything: bool) -> bool:
        """Handle what needs no quota, refuse what may not wait (see ``refuse_slice``); return whether there is more."""
        data, begin = self._buffer, self._position
        self._buffer, self._position = b"", 0
        self.cost = 0
        try:
            position, handled = refuse_slice(self, data, begin, SLICE_PACKETS, reason, late, everything)
        except PacketError as error:
            self.dialogue.malformed(error)
            return False
        self.cost = position - begin + PACKET_BYTES * handled
        return self._rest(data, position)

    def _handle(self, data: bytes, position: int, most: int, size: int) -> bool:
        """Handle a slice; return whether there is more to handle now, which is then held back."""
        intake, account = self.context.intake, self.account
        points, begin = intake.points_in, position
        # All that is sent meanwhile goes out at the end.
        if self.out is None:
            self.out = []
        try:
            position = self._slice(data, position, most, position + size)
        except PacketError as error:
            self.cost = 0
            self.dialogue.malformed(error)
            return False
        except Exception:
            self.cost = 0
            self._fault()
            return False
        finally:
            self.flush()
        # The beginning of a packet counts when the whole packet is there.
        used = position - begin if self._part is None else position - begin - len(self._part)
        packets = self._packets
        cost = used + PACKET_BYTES * packets
        self.cost = cost if self.queued else 0
        if account is not None:
            account.credit -= cost
            account.take(intake.points_in - points, packets, used, account.turn)
        return self._rest(data, position)

    def _rest(self, data: bytes, position: int) -> bool:
        if self._closed:
            return False
        transport = self._transport
        if self.waiting:
            self._hold(data, position)
        elif self.pending >= MAX_PENDING or (
            self.congested and transport is not None and transport.get_write_buffer_size() > WRITE_STOP
        ):
            if not self._stalled:
                self._stalled = True
                self.behind += 1
            self._hold(data, position)
            self._nothing_held()  # it waits for its client, not for its turn
        elif position < len(data):
            self._hold(data, position)
            return True
        else:
            self._nothing_held()
        return False

    def _nothing_held(self) -> None:
        if self._held and self.account is not None:
            self.account.held_bytes -= self._held
            self._held = 0

    def _hold(self, data: bytes, position: int) -> None:
        self._buffer, self._position = data, position
        self.pause()
        account = self.account
        if account is not None:
            # One read is one object: its beginning is not given back before its end.
            account.held_bytes += len(data) - self._held
            self._held = len(data)

    def pause(self) -> None:
        """Read no more from the socket."""
        if not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def read_on(self) -> None:
        """Read from the socket again, unless something else keeps it."""
        if self._paused and not (self._closed or self._stalled or self.waiting):
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def _slice(self, data: bytes, position: int, most: int, stop: int) -> int:
        """Handle up to ``most`` packets that begin before ``stop``; return the position after them.

        An incomplete packet at the end is kept in ``_part`` until it has ``_need`` bytes.
        """
        context = self.context
        submit = context.intake.submit
        received = context.now_ns()
        size = len(data)
        routes = self.routes
        order = self.order
        version = self.trie.version
        writer = cast(Writer, self.writer)  # routes are empty until there is one
        five = self.version == MQTT_5
        most_pending = self.receive_maximum
        # Beginning of the variable header of the telemetry PUBLISH before, and its route.
        same, route = b"", None
        packets = 0
        if self.writer is None and position < size and data[position] != FIRST_CONNECT:
            raise PacketError(Reason.PROTOCOL_ERROR, "the first packet is not CONNECT")
        stop = min(stop, size)
        while position < stop and packets != most:
            first = data[position]
            body = position + 2
            if body > size:
                self.keep(data, position, 2)
                position = size
                break
            length = data[position + 1]
            if length > 127:
                length, body = read_length(data, position + 1, size)
                if length == INCOMPLETE:
                    self.keep(data, position, body - position + 1)
                    position = size
                    break
            if length > self.limit:
                raise PacketError(Reason.PACKET_TOO_LARGE, "the packet is larger than the maximum packet size")
            end = body + length
            if end > size:
                self.keep(data, position, end - position)
                position = size
                break
            packets += 1
            position = end
            if first in _FAST and length > 2:
                if same and data.startswith(same, body):
                    start = body + len(same)
                else:
                    start = body + 2 + (data[body] << 8 | data[body + 1])
                    same = data[body:start]
                    route = routes.get(same[2:])
                if route is not None and (form := route.form) is not None and route.unwatched == version:
                    if first == 0x30:
                        if not five:
                            if start <= end:
                                submit(writer, form, data[start:end], received, None, route.context)
                                continue
                        elif start < end and not data[start]:
                            submit(writer, form, data[start + 1 : end], received, None, route.context)
                            continue
                    else:
                        after = start + 2
                        identifier = data[start:after]
                        if five and after < end and not data[after]:
                            after += 1
                        elif five or after > end:
                            after = 0
                        if after and identifier != b"\0\0" and len(order) < most_pending:
                            entry = Unacknowledged(self, identifier)
                            (self.ordered if order is NO_ORDER else order).append(entry)
                            submit(writer, form, data[after:end], received, entry, route.context)
                            order = self.order
                            continue
            self.dialogue.handle(decode(first, data, self.version, body, end), received)
            if self.waiting or self._closed or (self.pending >= MAX_PENDING and not five):
                break
            five = self.version == MQTT_5
            version = self.trie.version
            routes, order, most_pending, same = self.routes, self.order, self.receive_maximum, b""
        self._packets = packets
        return position

    def keep(self, data: bytes, position: int, need: int) -> None:
        """Keep the beginning of a packet until it has ``need`` bytes."""
        self._part = bytearray(data[position:])
        self._need = need

    # --- acknowledgements ----------------------------------------------------------------------------------------

    def settle(self, entry: Unacknowledged, packet: bytes) -> None:
        """Set an acknowledgement and send it once all before it have been sent (§4.6); empty sends nothing."""
        entry.packet = packet
        order = self.order
        if order[0].packet is None:
            self.behind += 1
            return
        self.behind += 1
        packets: list[bytes] = []
        while order and (ready := order[0].packet) is not None:
            order.popleft()
            packets.append(ready)
            self.behind -= 1
        if not order:
            self.forget_order()
        if self.out is None:
            self.out = packets
            self.context.mark(self)
        else:
            self.out += packets
        if self._stalled and self.pending < MAX_PENDING // 2 and not self.congested:
            self._stalled = False
            self.behind -= 1
            self.context.loop.call_soon(self.go_on)


# First bytes of a PUBLISH at QoS 1, not retained.
_ONCE = frozenset({0x32, 0x3A})
_FAST = _ONCE | {0x30}
# Header, a topic of one character, packet id.
_LEAST_PUBLISH = 7
