"""Hypothesis strategies for every control packet of both protocol versions."""

from typing import Any

from hypothesis import strategies as st

from gongfu.ingest.mqtt.codec.packets import (
    MQTT_3_1_1,
    MQTT_5,
    Acknowledgement,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Request,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from gongfu.ingest.mqtt.codec.properties import WILL, allowed_names
from gongfu.ingest.mqtt.codec.reasons import PacketType

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=40)
identifiers = st.integers(1, 65_535)
versions = st.sampled_from([MQTT_3_1_1, MQTT_5])
_BYTE, _TWO, _FOUR, _VARIABLE, _TEXT, _BINARY, _PAIR = range(7)
_VALUES: dict[int, st.SearchStrategy[Any]] = {
    _BYTE: st.integers(0, 1),
    _TWO: st.integers(1, 65_535),
    _FOUR: st.integers(1, 2**32 - 1),
    _TEXT: texts,
    _BINARY: st.binary(max_size=40),
    _PAIR: st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
}


def properties(version: int, section: int) -> st.SearchStrategy[dict[str, Any]]:
    """Properties a section may hold; none in MQTT 3.1.1."""
    if version != MQTT_5:
        return st.just({})
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, wire in allowed_names(section).items():
        if name == "subscription_identifier":
            most = 3 if section == PacketType.PUBLISH else 1
            fields[name] = st.lists(st.integers(1, 268_435_455), min_size=1, max_size=most)
        elif name == "response_topic":
            fields[name] = topics
        elif name == "authentication_data":
            continue  # needs a method beside it
        else:
            fields[name] = _VALUES[wire]
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def wills(draw: st.DrawFn, version: int) -> Will:
    return Will(
        draw(topics),
        draw(st.binary(max_size=60)),
        draw(st.integers(0, 2)),
        draw(st.booleans()),
        draw(properties(version, WILL)),
    )


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    username = draw(st.none() | texts)
    password = draw(st.none() | st.binary(max_size=30)) if username is not None or version == MQTT_5 else None
    return Connect(
        version,
        draw(texts),
        draw(st.booleans()),
        draw(st.integers(0, 65_535)),
        username,
        password,
        draw(st.none() | wills(version)),
        draw(properties(version, PacketType.CONNECT)),
    )


@st.composite
def connacks(draw: st.DrawFn, version: int) -> Connack:
    present = draw(st.booleans())
    reason = 0 if present else draw(st.integers(0, 255))
    return Connack(present, reason, draw(properties(version, PacketType.CONNACK)))


@st.composite
def publishes(draw: st.DrawFn, version: int) -> Publish:
    qos = draw(st.integers(0, 2))
    return Publish(
        draw(topics),
        draw(st.binary(max_size=300)),
        qos,
        draw(st.booleans()),
        draw(st.booleans()) if qos else False,
        draw(identifiers) if qos else 0,
        draw(properties(version, PacketType.PUBLISH)),
    )


@st.composite
def acknowledgements(draw: st.DrawFn, version: int) -> Acknowledgement:
    kind = draw(st.sampled_from([PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]))
    reason = draw(st.integers(0, 255)) if version == MQTT_5 else 0
    return Acknowledgement(kind, draw(identifiers), reason, draw(properties(version, kind)))


@st.composite
def subscribes(draw: st.DrawFn, version: int) -> Subscribe:
    five = version == MQTT_5
    request = st.builds(
        Request,
        texts,
        st.integers(0, 2),
        st.booleans() if five else st.just(False),
        st.booleans() if five else st.just(False),
        st.integers(0, 2) if five else st.just(0),
    )
    requests = draw(st.lists(request, min_size=1, max_size=4))
    return Subscribe(draw(identifiers), requests, draw(properties(version, PacketType.SUBSCRIBE)))


def packets(version: int) -> st.SearchStrategy[Packet]:
    """Every packet a peer of a version may send."""
    reasons = st.lists(st.integers(0, 255), min_size=1, max_size=4)
    five = version == MQTT_5
    code = st.integers(0, 255) if five else st.just(0)
    kinds: list[st.SearchStrategy[Packet]] = [
        connects(version),
        connacks(version),
        publishes(version),
        acknowledgements(version),
        subscribes(version),
        st.builds(Suback, identifiers, reasons, properties(version, PacketType.SUBACK)),
        st.builds(
            Unsubscribe,
            identifiers,
            st.lists(texts, min_size=1, max_size=4),
            properties(version, PacketType.UNSUBSCRIBE),
        ),
        st.builds(Unsuback, identifiers, reasons if five else st.just([]), properties(version, PacketType.UNSUBACK)),
        st.just(Pingreq()),
        st.just(Pingresp()),
        st.builds(Disconnect, code, properties(version, PacketType.DISCONNECT)),
    ]
    if five:
        kinds.append(st.builds(Auth, code, properties(version, PacketType.AUTH)))
    return st.one_of(kinds)
