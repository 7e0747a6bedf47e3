"""``python -m demo.tree.machines``: the machines of all sites as MQTT devices, one connection each.

Reads a JSON list of ``[host, port, device, secret]`` from its standard input. Each machine sends its temperature,
power, vibration and count of pieces every two seconds; now and then one runs hot for a minute, and the site's rule
raises an alarm.
"""

import json
import math
import random
import signal
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

PERIOD_S = 2.0
HOT_S = 60.0
# A machine runs hot about once in forty minutes.
HOT_CHANCE = PERIOD_S / 2400
HOT_CELSIUS = 85.0
_KEPT_MESSAGES = 600


class Machine:
    """One machine and its connection.

    Args:
        host: of the site's front door.
        port: of the site's front door.
        name: of the device.
        secret: of the device.
        chance: what is random about it.
    """

    def __init__(self, host: str, port: int, name: str, secret: str, chance: random.Random) -> None:
        self._chance = chance
        self._phase = chance.uniform(0, 2 * math.pi)
        self._load = chance.uniform(0.4, 0.9)
        self._temperature = 40.0 + 20 * self._load
        self._pieces = 0.0
        self._hot_until = 0.0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.username_pw_set(name, secret)
        self._client.reconnect_delay_set(1, 5)
        self._client.max_queued_messages_set(_KEPT_MESSAGES)
        self._client.connect_async(host, port, keepalive=30)
        self._client.loop_start()

    def step(self, now: float) -> None:
        """Live two seconds and send what is measured."""
        if now > self._hot_until and self._chance.random() < HOT_CHANCE:
            self._hot_until = now + HOT_S
        load = self._load * (1 + 0.1 * math.sin(now / 300 + self._phase)) + self._chance.gauss(0, 0.01)
        aim = 95.0 if now < self._hot_until else 40.0 + 25 * load
        self._temperature += (aim - self._temperature) * 0.12 + self._chance.gauss(0, 0.15)
        self._pieces += load * PERIOD_S / 10
        values = {
            "temperature": round(self._temperature, 2),
            "power": round(12 * load, 3),
            "vibration": round(abs(self._chance.gauss(1.2 + load, 0.2)), 3),
            "pieces": int(self._pieces),
            "running": load > 0.3,
        }
        document = {"ts": int(time.time() * 1000), "values": values}
        self._client.publish("v1/devices/me/telemetry", json.dumps(document, separators=(",", ":")), qos=1)

    def close(self) -> None:
        """Close the connection."""
        self._client.disconnect()
        self._client.loop_stop()


def main() -> None:
    """Send until told to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    wanted: list[tuple[str, int, str, str]] = json.load(sys.stdin)
    chance = random.Random(1)
    machines = [Machine(*one, random.Random(chance.random())) for one in wanted]
    due = time.monotonic()
    while not stop.is_set():
        for machine in machines:
            machine.step(time.time())
            # Spread over the period.
            stop.wait(PERIOD_S * 0.8 / len(machines))
        due = max(due + PERIOD_S, time.monotonic())
        stop.wait(due - time.monotonic())
    for machine in machines:
        machine.close()


if __name__ == "__main__":
    main()
