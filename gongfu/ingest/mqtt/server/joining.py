"""CONNECT: authentication, limits, will, session, CONNACK (MQTT 5.0 §3.1, §3.2)."""

import asyncio
import hashlib
import logging
import secrets
import ssl
from typing import TYPE_CHECKING, Any

from gongfu.ingest.mqtt.access import (
    OWN_PREFIX,
    DeviceAccess,
    Refusal,
    device_prefix,
    inner_topic,
    may_publish,
    telemetry_form,
)
from gongfu.ingest.mqtt.broker.broker import bounded_expiry
from gongfu.ingest.mqtt.broker.durability import Key, WillRecord
from gongfu.ingest.mqtt.broker.messages import message_of
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Connack, Connect
from gongfu.ingest.mqtt.codec.properties import Properties
from gongfu.ingest.mqtt.codec.reasons import RETURN_CODES, Reason

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.dialogue import Dialogue

log = logging.getLogger(__name__)

# Answer to wrong credentials comes late, which blunts guessing and slows down reconnect loops.
FAILURE_SECONDS = 0.25
KEEP_ALIVE_FACTOR = 1.5
LARGEST_PACKET = 268_435_460


class Refused(Exception):
    """CONNECT is not accepted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


async def join(dialogue: "Dialogue", packet: Connect) -> None:
    """Answer a CONNECT; the connection does not read on before."""
    connection, context = dialogue.connection, dialogue.context
    try:
        await _accept(dialogue, packet)
    except Refused as refused:
        if not connection.closed:
            reason = refused.reason
            code = reason if packet.version == MQTT_5 else RETURN_CODES.get(reason, RETURN_CODES[Reason.NOT_AUTHORIZED])
            connection.send(encode(Connack(False, code), packet.version))
            connection.drop(reason.name.lower())
    except Exception:
        log.exception("a CONNECT could not be answered")
        context.counters.add("errors")
        connection.drop("error")
    finally:
        connection.waiting = False
    connection.go_on()


async def _accept(dialogue: "Dialogue", packet: Connect) -> None:
    context = dialogue.context
    if "authentication_method" in packet.properties:
        raise Refused(Reason.BAD_AUTHENTICATION_METHOD)
    client_id = packet.client_id
    if not client_id:
        if packet.version != MQTT_5 and not packet.clean_start:
            raise Refused(Reason.CLIENT_IDENTIFIER_NOT_VALID)
        client_id = f"auto-{secrets.token_hex(12)}"
    access = await _authenticate(dialogue, packet)
    # One text where both are the same, as with most devices.
    key: Key = (access.writer.device, access.writer.name if client_id == access.writer.name else client_id)
    prefix = device_prefix(access.writer.name)
    will = _will_of(dialogue, packet, access, key, prefix)
    peers = context.peers
    if peers is None or not packet.client_id or not peers.must_ask(key):
        _open(dialogue, packet, access, key, will, 0 if peers is None else peers.ticket())
        return
    ticket, superseded = await peers.fetch(key, packet.clean_start)
    try:
        if superseded:
            context.counters.add("connections_closed.superseded")
            raise Refused(Reason.SERVER_BUSY)
        _open(dialogue, packet, access, key, will, ticket)
    finally:
        peers.release(key, ticket)


def _open(
    dialogue: "Dialogue", packet: Connect, access: DeviceAccess, key: Key, will: WillRecord | None, epoch: int
) -> None:
    """Open the session here; no other front door has it any more."""
    connection, context = dialogue.connection, dialogue.context
    broker, limits = context.broker, context.limits
    if not broker.admits(key):
        raise Refused(Reason.QUOTA_EXCEEDED)
    if connection.closed or context.stopping:
        return
    requested = packet.properties.get("session_expiry_interval", 0)
    if packet.version != MQTT_5:
        requested = 0 if packet.clean_start else limits.max_session_expiry
    expiry = bounded_expiry(requested, limits)
    keep_alive = packet.keep_alive
    if packet.version == MQTT_5:
        keep_alive = min(keep_alive, limits.max_keep_alive)
    dialogue.keep_alive = keep_alive
    properties = packet.properties
    dialogue.explains = bool(properties.get("request_problem_information", 1))
    connection.send_maximum = min(properties.get("receive_maximum", 65_535), limits.send_maximum)
    connection.maximum_packet = properties.get("maximum_packet_size", LARGEST_PACKET)
    if packet.version == MQTT_5:
        connection.receive_maximum = context.admission.receive_maximum(access.writer, limits.receive_maximum)
    prefix = device_prefix(access.writer.name)
    session, session_present = broker.open(
        key, access.writer.tenant, prefix, packet.clean_start, expiry, will, connection, epoch
    )
    dialogue.joined(access, session, min(properties.get("topic_alias_maximum", 0), limits.topic_alias_maximum))
    answer: Properties = {}
    if packet.version == MQTT_5:
        answer = {
            "receive_maximum": connection.receive_maximum,
            "maximum_packet_size": context.max_packet,
            "topic_alias_maximum": limits.topic_alias_maximum,
        }
        if expiry != requested:
            answer["session_expiry_interval"] = expiry
        if keep_alive != packet.keep_alive:
            answer["server_keep_alive"] = keep_alive
        if not packet.client_id:
            answer["assigned_client_identifier"] = key[1]
        if properties.get("request_response_information"):
            answer["response_information"] = OWN_PREFIX
    connection.send(encode(Connack(session_present, 0, answer), packet.version))
    broker.start(session)
    context.watch(connection)


async def _authenticate(dialogue: "Dialogue", packet: Connect) -> DeviceAccess:
    context = dialogue.context
    fingerprint = _certificate(dialogue.connection.transport_info("ssl_object"))
    access = await context.authenticator.check(packet.username, packet.password, fingerprint)
    if isinstance(access, DeviceAccess):
        return access
    if access is Refusal.UNAVAILABLE:
        raise Refused(Reason.SERVER_UNAVAILABLE)
    context.counters.add("auth_failures")
    await asyncio.sleep(FAILURE_SECONDS)
    raise Refused(Reason.NOT_AUTHORIZED if access is Refusal.DISABLED else Reason.BAD_USER_NAME_OR_PASSWORD)


def _certificate(ssl_object: Any) -> str | None:
    if not isinstance(ssl_object, ssl.SSLObject | ssl.SSLSocket):
        return None
    certificate = ssl_object.getpeercert(binary_form=True)
    return None if certificate is None else hashlib.sha256(certificate).hexdigest()


def _will_of(dialogue: "Dialogue", packet: Connect, access: DeviceAccess, key: Key, prefix: str) -> WillRecord | None:
    will = packet.will
    if will is None:
        return None
    if len(will.payload) > dialogue.context.limits.max_payload:
        raise Refused(Reason.PACKET_TOO_LARGE)
    reserved = will.topic in dialogue.context.reserved
    if reserved or (telemetry_form(will.topic) is None and not may_publish(access, will.topic)):
        dialogue.context.counters.add("messages_dropped.not_authorized")
        raise Refused(Reason.NOT_AUTHORIZED)
    message = message_of(inner_topic(prefix, will.topic), will.payload, will.qos, will.retain, will.properties, 0)
    delay = will.properties.get("will_delay_interval", 0)
    return WillRecord(key, access.writer, will.topic, message, delay)
