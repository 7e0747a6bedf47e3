"""A UDP socket that is read and written many datagrams at a time.

Most of what a small answer costs is the system call that takes the question and the one that sends the answer. Linux
has calls for many (``recvmmsg``, ``sendmmsg``), which Python's sockets do not; they are called here by ``ctypes``, with
the interpreter's lock held, since they do not wait. Elsewhere datagrams come and go one by one.
"""

import ctypes
import errno
import socket
from collections.abc import Callable

from gongfu.kernel.counters import Counters

Address = tuple[str, int] | tuple[str, int, int, int]

# Datagrams read before others on the loop have their turn.
AT_ONCE = 64
# Those that fill it are dropped: nobody's question has so many bytes. Answers have the same room.
RECEIVE_BYTES = 2048
_SEND_BYTES = RECEIVE_BYTES
_BUFFER_BYTES = 4 * 1024 * 1024
_GONE = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


class _Head(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_bytes", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_bytes", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Datagram(ctypes.Structure):
    _fields_ = (("head", _Head), ("bytes", ctypes.c_uint))


# In 32-bit words: of a datagram, and where its length is.
_WORDS, _BYTES = 16, 14
_NAME_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}
_NAME_ROOM = 32
# Where in it the address itself is.
_NAME_PLACE = {socket.AF_INET: (4, 8), socket.AF_INET6: (8, 24)}


def _system() -> ctypes.PyDLL | None:
    try:
        library = ctypes.PyDLL(None, use_errno=True)
        receive, send = library.recvmmsg, library.sendmmsg
    except (OSError, AttributeError, TypeError):
        return None
    if ctypes.sizeof(_Datagram) != 4 * _WORDS:
        return None
    receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    return library


_LIBRARY = _system()


class _Batch:
    """Room for a batch: what came, and the answers in the same places, to the same addresses."""

    def __init__(self, opened: socket.socket, library: ctypes.PyDLL) -> None:
        self.receive, self.send = library.recvmmsg, library.sendmmsg
        self.number = opened.fileno()
        room = (AT_ONCE * RECEIVE_BYTES, AT_ONCE * _SEND_BYTES, AT_ONCE * _NAME_ROOM)
        came, going, names = (ctypes.create_string_buffer(size) for size in room)
        came_parts, going_parts = (_Part * AT_ONCE)(), (_Part * AT_ONCE)()
        came_heads, going_heads = (_Datagram * AT_ONCE)(), (_Datagram * AT_ONCE)()
        for at in range(AT_ONCE):
            came_parts[at].base, came_parts[at].bytes = ctypes.addressof(came) + at * RECEIVE_BYTES, RECEIVE_BYTES
            going_parts[at].base = ctypes.addressof(going) + at * _SEND_BYTES
            for heads, parts in ((came_heads, came_parts), (going_heads, going_parts)):
                head = heads[at].head
                head.name, head.name_bytes = ctypes.addressof(names) + at * _NAME_ROOM, _NAME_BYTES[opened.family]
                head.parts, head.part_count = ctypes.addressof(parts[at]), 1
        # What C points to must live as long as this.
        self.kept = (names, came_parts)
        self.family = opened.family
        self.names = memoryview(names).cast("B")
        self.came, self.going = memoryview(came).cast("B"), memoryview(going).cast("B")
        words = memoryview(came_heads).cast("B").cast("I")
        self.sizes = words[_BYTES::_WORDS]
        self.going_sizes = memoryview(going_parts).cast("B").cast("Q")[1::2]
        self.came_at, self.going_heads = ctypes.addressof(came_heads), going_heads

    def address(self, at: int) -> Address:
        """Return who sent a datagram, as Python's sockets say it."""
        name = self.names[at * _NAME_ROOM : (at + 1) * _NAME_ROOM]
        port = int.from_bytes(name[2:4], "big")
        if self.family == socket.AF_INET:
            return socket.inet_ntop(self.family, name[4:8]), port
        scope = int.from_bytes(name[24:28], "little")
        return socket.inet_ntop(self.family, name[8:24]), port, int.from_bytes(name[4:8], "big"), scope


class DatagramSocket:
    """Answers datagrams; ``ready`` is for ``loop.add_reader``."""

    def __init__(
        self,
        opened: socket.socket,
        fast: Callable[[bytes], bytes | None],
        slow: Callable[[bytes, Address], None],
        counters: Counters,
        name: str,
        *,
        made: Callable[[bytes], bytes | None] | None = None,
        batches: bool = True,
    ) -> None:
        """Make it.

        Args:
            opened: bound, not blocking.
            fast: returns the answer to a datagram, all of it in one; None leaves it to ``slow``. It must not raise.
            slow: what needs to know who asks, takes its time or answers with more than one datagram: see ``send``.
            counters: ``<name>_datagrams_dropped.<reason>``, ``<name>_answers.fast``.
            name: of the protocol.
            made: the same as ``fast`` for what that has no answer to; what it answers it counts itself.
            batches: read and write many at a time where the system can.
        """
        self._socket = opened
        # Is told who sent what (the address as bytes), of each datagram that is not too long.
        self.noted: Callable[[bytes, bytes], None] | None = None
        self._fast = fast
        self._made = made or _nothing
        self._slow = slow
        self._counters = counters
        self._dropped = f"{name}_datagrams_dropped"
        self._answered = f"{name}_answers.fast"
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._batch = _Batch(opened, _LIBRARY) if batches and _LIBRARY is not None else None
        self.ready = self._ready_one_by_one if self._batch is None else self._ready

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram; what cannot be sent is counted."""
        try:
            self._socket.sendto(data, address)
        except OSError:
            self._counters.add(f"{self._dropped}.not-sent")

    def _ready_one_by_one(self) -> None:
        receive, fast = self._socket.recvfrom, self._fast
        for _ in range(AT_ONCE):
            try:
                data, address = receive(RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # What a client's host says of an answer that it did not want.
                self._counters.add(f"{self._dropped}.unreachable")
                continue
            if self.noted is not None and len(data) < RECEIVE_BYTES:
                self.noted(socket.inet_pton(self._socket.family, address[0].partition("%")[0]), data)
            if len(data) == RECEIVE_BYTES:
                self._counters.add(f"{self._dropped}.length")
            elif (answer := fast(data)) is not None:
                self.send(answer, address)
                self._counters.add(self._answered)
            elif (answer := self._made(data)) is not None:
                self.send(answer, address)
            else:
                self._slow(data, address)

    def _ready(self) -> None:
        batch, fast = self._batch, self._fast
        assert batch is not None
        count = batch.receive(batch.number, batch.came_at, AT_ONCE, 0, None)
        if count <= 0:
            if count and ctypes.get_errno() not in _GONE and ctypes.get_errno() != errno.EINTR:
                self._counters.add(f"{self._dropped}.unreachable")
            return
        came, going, going_sizes = batch.came, batch.going, batch.going_sizes
        noted, names, (first, last) = self.noted, batch.names, _NAME_PLACE[batch.family]
        start = slow = made = 0
        for at, size in enumerate(batch.sizes[:count].tolist()):
            begin = at * RECEIVE_BYTES
            data = came[begin : begin + size].tobytes()
            if noted is not None and size < RECEIVE_BYTES:
                place = at * _NAME_ROOM
                noted(names[place + first : place + last].tobytes(), data)
            if size == RECEIVE_BYTES:
                answer = None
            elif (answer := fast(data)) is None:
                answer = self._made(data)
                made += answer is not None
            if answer is not None and (length := len(answer)) <= _SEND_BYTES:
                going[begin : begin + length] = answer
                going_sizes[at] = length
            else:
                # Answers go in one piece from place to place; this place has none.
                self._send_batch(start, at)
                start = at + 1
                slow += 1
                if size == RECEIVE_BYTES:
                    self._counters.add(f"{self._dropped}.length")
                elif answer is not None:
                    self.send(answer, batch.address(at))
                else:
                    self._slow(data, batch.address(at))
        self._send_batch(start, count)
        self._counters.add(self._answered, count - slow - made)

    def _send_batch(self, start: int, end: int) -> None:
        batch = self._batch
        assert batch is not None
        while start < end:
            sent = batch.send(batch.number, ctypes.addressof(batch.going_heads[start]), end - start, 0)
            if sent > 0:
                start += sent
            elif ctypes.get_errno() in _GONE:
                self._counters.add(f"{self._dropped}.not-sent", end - start)
                return
            elif ctypes.get_errno() != errno.EINTR:
                # This one cannot be sent, which says nothing of the others.
                self._counters.add(f"{self._dropped}.not-sent")
                start += 1


def _nothing(data: bytes) -> None:
    return None


def open_datagram_socket(host: str, port: int) -> socket.socket:
    """Return a bound UDP socket for ``DatagramSocket``.

    Raises:
        OSError: the address is taken, or none of this machine.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened
