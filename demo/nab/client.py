"""Replay the recording over MQTT 5 with its original timestamps, ``SAMPLES_PER_S`` samples a second.

The source times stay those of the recording (2013-12-02 to 2014-02-19); nothing is shifted. One message carries a
list of samples. At most ``UNACKNOWLEDGED`` messages wait for the node, so a node that is away pauses the replay.
"""

import json
import logging
import os
import signal
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from demo.nab.series import POINT, Recorded, after, read_recording

SAMPLES_PER_S = 250
MESSAGE_SAMPLES = 25
UNACKNOWLEDGED = 40

_log = logging.getLogger("demo.nab")


class Replay:
    """One replay of ``samples`` over one connection.

    Args:
        host: broker host.
        port: broker port.
        name: device name, also the client id.
        secret: device secret.
        samples: what to send, in order.
    """

    def __init__(self, host: str, port: int, name: str, secret: str, samples: list[Recorded]) -> None:
        self._samples = samples
        self._stop = threading.Event()
        # Sent and not yet acknowledged. paho's own message info gives up on messages sent while the connection is away.
        self._waiting = 0
        self._changed = threading.Condition()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(name, secret)
        client.reconnect_delay_set(1, 5)
        client.on_connect = self._connected
        client.on_publish = self._acknowledged
        client.connect_async(host, port, keepalive=20, clean_start=mqtt.MQTT_CLEAN_START_FIRST_ONLY)
        self._client = client

    def run(self) -> None:
        """Send all samples, then disconnect. Returns early after ``stop``."""
        self._client.loop_start()
        due = time.monotonic()
        for start in range(0, len(self._samples), MESSAGE_SAMPLES):
            part = self._samples[start : start + MESSAGE_SAMPLES]
            document = [{"ts": sample.time_ms, "values": {POINT: sample.value}} for sample in part]
            with self._changed:
                self._waiting += 1
            self._client.publish("v1/devices/me/telemetry", json.dumps(document), qos=1)
            self._wait_for_node(UNACKNOWLEDGED)
            due = max(due + MESSAGE_SAMPLES / SAMPLES_PER_S, time.monotonic() - 1.0)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                break
        else:
            self._wait_for_node(0)
            if not self._stop.is_set():
                _log.info("the recording has been replayed to its end: %d samples", len(self._samples))
        self._client.disconnect()
        self._client.loop_stop()

    def stop(self) -> None:
        """Make ``run`` return. Safe from a signal handler: it takes no lock that ``run`` may hold."""
        self._stop.set()

    def _wait_for_node(self, most: int) -> None:
        with self._changed:
            while self._waiting > most and not self._stop.is_set():
                self._changed.wait(0.25)

    def _acknowledged(self, *_: Any) -> None:
        with self._changed:
            self._waiting -= 1
            self._changed.notify()

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
        else:
            _log.info("connected")


def main() -> None:
    """Run a replay; the environment names the broker, the device and the time after which to go on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    environment = os.environ
    newest = environment.get("GONGFU_DEMO_AFTER_MS")
    replay = Replay(
        environment["GONGFU_DEMO_HOST"],
        int(environment["GONGFU_DEMO_PORT"]),
        environment["GONGFU_DEMO_DEVICE"],
        environment["GONGFU_DEMO_SECRET"],
        after(read_recording(), int(newest) if newest else None),
    )
    signal.signal(signal.SIGTERM, lambda *_: replay.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replay.run()


if __name__ == "__main__":
    main()
