"""MQTT codec: any bytes, in any pieces, give packets or ``PacketError``; what was decoded encodes and decodes again."""

import atheris

with atheris.instrument_imports(include=["gongfu"]):
    from gongfu.ingest.mqtt.codec.decoding import decode
    from gongfu.ingest.mqtt.codec.encoding import encode
    from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Connect
    from gongfu.ingest.mqtt.codec.reasons import PacketError
    from gongfu.ingest.mqtt.codec.splitter import Splitter

from tests.fuzz.guided import run
from tests.fuzz.mqtt_seeds import packets

LIMIT = 65_536


def one(data: bytes) -> None:
    """The first byte chooses the version and the size of the pieces."""
    if not data:
        return
    version = MQTT_5 if data[0] & 1 else MQTT_3_1_1
    piece = (data[0] >> 1) or len(data)
    whole, pieces = Splitter(LIMIT), Splitter(LIMIT)
    stream = data[1:]
    try:
        packets = whole.feed(stream)
    except PacketError:
        packets = None
    split: list[tuple[int, bytes]] = []
    refused = False
    for start in range(0, len(stream), piece):
        try:
            split += pieces.feed(stream[start : start + piece])
        except PacketError:
            refused = True
            break
    if packets is not None:
        assert split == packets
    else:
        assert refused
    for first, body in split:
        try:
            packet = decode(first, body, version)
        except PacketError:
            continue
        spoken = packet.version if isinstance(packet, Connect) else version
        again = Splitter(2 * LIMIT).feed(encode(packet, spoken))
        assert len(again) == 1, packet
        assert decode(*again[0], spoken) == packet, packet


def corpus() -> list[bytes]:
    """Packets of both versions, whole and in pieces."""
    return [bytes([head]) + packet for packet in packets() for head in (0, 1, 6, 7)]


if __name__ == "__main__":
    run(one, corpus(), __doc__ or "")
