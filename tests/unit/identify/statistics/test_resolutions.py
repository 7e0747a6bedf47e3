"""Real and replayed resolutions are told apart, by prefix, with bounded memory."""

from gongfu.identify.handle.bodies import Resolution, encode_resolution
from gongfu.identify.handle.codes import OpCode, ResponseCode
from gongfu.identify.handle.envelope import Envelope, Header, Message, encode_envelope, encode_message
from gongfu.identify.statistics import questions
from gongfu.identify.statistics.resolutions import Asked, Resolutions


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def packet(handle: str, request: int, operation: OpCode = OpCode.RESOLUTION) -> bytes:
    message = encode_message(Message(Header(operation, ResponseCode.RESERVED), encode_resolution(Resolution(handle))))
    return encode_envelope(Envelope(request, len(message))) + message


def test_the_same_client_that_asks_the_same_again_replays() -> None:
    resolutions = Resolutions(Clock())
    note = resolutions.face(questions.handle_key, questions.handle_prefix)
    for request in range(5):
        note(b"\x7f\0\0\1", packet("99.1.a/x", request))
    note(b"\x7f\0\0\2", packet("99.1.a/x", 9))
    note(b"\x7f\0\0\1", packet("99.1.A/y", 9))
    note(b"\x7f\0\0\1", packet("0.NA/99.2", 9))
    note(b"\x7f\0\0\1", packet("99.1/x", 9, OpCode.DELETE_HANDLE))
    note(b"\x7f\0\0\1", b"\0" * 30)
    assert resolutions.take() == {"99.1.A": Asked(3, 4), "99.2": Asked(1, 0)}
    assert resolutions.take() == {}


def test_the_same_is_real_again_an_hour_after_it_was_counted() -> None:
    clock = Clock()
    resolutions = Resolutions(clock)
    note = resolutions.face(bytes, lambda key: "99")
    for minute in (0, 31, 61, 95, 190):
        clock.now = minute * 60.0
        resolutions.take()
        note("client", b"question")
        expected = Asked(0, 1) if minute in (31, 95) else Asked(1, 0)
        assert resolutions.take() == {"99": expected}, minute


def test_targets_of_http_are_handles_or_links() -> None:
    prefix_of = questions.http_prefix("99.1000.1")
    assert prefix_of(b"/api/handles/99.168.1/%E6%B3%B5%3F?index=1") == "99.168.1"
    assert prefix_of(b"/api/handles/0.NA/99.168.1") == "99.168.1"
    assert prefix_of(b"/01/09506000134352/21/7?linkType=all") == "99.1000.1"
