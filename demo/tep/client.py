"""The plant as an MQTT 5 device: publishes a sample set twice a second, takes disturbances as commands.

Time: the plant runs 120 times faster than the clock, one simulated minute every half second. The source time of a
sample is the wall clock when it was made; the simulated time is a point of its own, ``simulated_hours``. When the
broker is away, paho-mqtt keeps the samples (up to ``OFFLINE_MESSAGES``) and sends them, with their source times, when
it is back.
"""

import json
import logging
import os
import queue
import signal
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from demo.tep.commands import REQUEST_PREFIX, CommandError, SetDisturbance, parse_command, response_topic
from demo.tep.plant import Plant, Sample

SAMPLE_PERIOD_S = 0.5
SIMULATED_S_PER_SAMPLE = 60.0
TRIPPED_S = 15.0
# Ten minutes of samples of two messages each.
OFFLINE_MESSAGES = 2400
SESSION_EXPIRY_S = 3600
QOS = 1

_log = logging.getLogger("demo.tep")


class PlantDevice:
    """One plant, one MQTT connection.

    Args:
        host: broker host.
        port: broker port.
        name: device name, also the client id.
        secret: device secret.
        plant: the plant to run.
    """

    def __init__(self, host: str, port: int, name: str, secret: str, plant: Plant) -> None:
        self._plant = plant
        self._commands: queue.Queue[tuple[SetDisturbance, str]] = queue.Queue(maxsize=100)
        self._stop = threading.Event()
        self._state_due = threading.Event()
        self._trips = 0
        self._state = "running"
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(name, secret)
        client.max_queued_messages_set(OFFLINE_MESSAGES)
        client.max_inflight_messages_set(20)
        client.reconnect_delay_set(1, 5)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect_async(
            host, port, keepalive=20, clean_start=mqtt.MQTT_CLEAN_START_FIRST_ONLY, properties=properties
        )
        self._client = client

    def run(self) -> None:
        """Publish until ``stop`` is called."""
        self._client.loop_start()
        due = time.monotonic()
        resume = 0.0
        while not self._stop.is_set():
            self._follow_commands()
            if self._state == "running":
                sample = self._plant.step(SIMULATED_S_PER_SAMPLE)
                self._publish_sample(sample)
                if sample.trip:
                    self._trips += 1
                    self._state = f"tripped: {sample.trip}"
                    resume = time.monotonic() + TRIPPED_S
                    _log.warning("the plant has shut down (%s); it starts again in %.0f s", sample.trip, TRIPPED_S)
                    self._state_due.set()
            elif time.monotonic() >= resume:
                self._plant.restart()
                self._state = "running"
                _log.info("the plant starts again at the base case, without disturbances")
                self._state_due.set()
            if self._state_due.is_set():
                self._state_due.clear()
                self._publish_state()
            due = max(due + SAMPLE_PERIOD_S, time.monotonic() - SAMPLE_PERIOD_S)
            self._stop.wait(max(0.0, due - time.monotonic()))
        self._client.disconnect()
        self._client.loop_stop()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stop.set()

    def _publish(self, topic: str, document: Any) -> None:
        if (
            self._client.publish(topic, json.dumps(document, separators=(",", ":")), qos=QOS).rc
            == mqtt.MQTT_ERR_QUEUE_SIZE
        ):
            _log.warning("the offline buffer of %d messages is full: a message is dropped", OFFLINE_MESSAGES)

    def _publish_sample(self, sample: Sample) -> None:
        now = time.time_ns() // 1_000_000
        document = {asset: [{"ts": now, "values": values}] for asset, values in sample.values.items()}
        self._publish("v1/gateway/telemetry", document)
        self._publish("v1/devices/me/telemetry", {"ts": now, "values": {"simulated_hours": round(sample.hours, 4)}})

    def _publish_state(self) -> None:
        values: dict[str, bool | str | float] = {
            f"idv_{number}": active for number, active in enumerate(self._plant.disturbances, start=1)
        }
        values.update(running=self._state == "running", state=self._state, trips=float(self._trips))
        self._publish("v1/devices/me/telemetry", {"ts": time.time_ns() // 1_000_000, "values": values})

    def _follow_commands(self) -> None:
        while True:
            try:
                command, topic = self._commands.get_nowait()
            except queue.Empty:
                return
            if self._state != "running":
                self._publish(topic, {"error": f"the plant is not running ({self._state})"})
                continue
            self._plant.set_disturbance(command.number, command.active)
            _log.info("IDV(%d) %s", command.number, "on" if command.active else "off")
            self._publish(topic, {"number": command.number, "active": command.active})
            self._state_due.set()

    def _connected(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.error("the node refuses the connection: %s", reason)
            return
        _log.info("connected")
        client.subscribe(f"{REQUEST_PREFIX}+", qos=QOS)
        self._state_due.set()

    def _disconnected(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not self._stop.is_set():
            _log.warning("disconnected (%s); samples are kept and sent later", reason)

    def _received(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        answer = response_topic(message.topic)
        if answer is None:
            return
        try:
            self._commands.put_nowait((parse_command(bytes(message.payload)), answer))
        except CommandError as error:
            self._publish(answer, {"error": str(error)})
        except queue.Full:
            self._publish(answer, {"error": "too many commands are waiting"})


def main() -> None:
    """Run a plant; the environment names the broker and the device (see ``demo.processes``)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    environment = os.environ
    device = PlantDevice(
        environment["GONGFU_DEMO_HOST"],
        int(environment["GONGFU_DEMO_PORT"]),
        environment["GONGFU_DEMO_DEVICE"],
        environment["GONGFU_DEMO_SECRET"],
        Plant(),
    )
    signal.signal(signal.SIGTERM, lambda *_: device.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    device.run()


if __name__ == "__main__":
    main()
