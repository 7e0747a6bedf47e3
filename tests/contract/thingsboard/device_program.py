"""What a user of ``tb-mqtt-client`` writes: a device and a gateway, against HOST's port with an access token.

Run with the package in PYTHONPATH as ``python device_program.py PORT TOKEN KIND``; prints what it heard as JSON.
"""

import json
import sys
import threading
import time
from typing import Any

from tb_device_mqtt import TBDeviceMqttClient  # pyright: ignore[reportMissingImports]
from tb_gateway_mqtt import TBGatewayMqttClient  # pyright: ignore[reportMissingImports]

PATIENCE_S = 60.0


class Heard:
    """What came, by name."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self._changed = threading.Condition()

    def note(self, name: str, answer: Any) -> None:
        with self._changed:
            self.answers[name] = answer
            self._changed.notify_all()

    def wait(self, name: str) -> Any:
        with self._changed:
            assert self._changed.wait_for(lambda: name in self.answers, PATIENCE_S), f"{name} did not come"
        return self.answers[name]


def connected(client: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not client.is_connected():
        assert time.monotonic() < deadline, "not connected"
        time.sleep(0.02)


def device(port: int, token: str, heard: Heard) -> None:
    client = TBDeviceMqttClient("127.0.0.1", port, username=token, client_id="tb-device")

    def called(request_id: str, body: Any) -> None:
        client.send_rpc_reply(request_id, {"done": body["method"]})
        heard.note("rpc", body)

    client.set_server_side_rpc_request_handler(called)
    client.subscribe_to_all_attributes(lambda content, _: heard.note("update", content))
    client.connect()
    connected(client)
    client.request_service_configuration(lambda _, answer, *__: heard.note("limits", answer))
    heard.wait("limits")
    heard.note("telemetry", client.send_telemetry({"flow": 1.5, "on": True}).get())
    heard.note("attributes", client.send_attributes({"firmware": "1.2"}).get())
    client.request_attributes(shared_keys=["limit", "名"], callback=lambda content, _: heard.note("shared", content))
    heard.wait("shared")
    print("ready", flush=True)
    heard.wait("rpc")
    heard.wait("update")
    client.disconnect()


def gateway(port: int, token: str, heard: Heard) -> None:
    client = TBGatewayMqttClient("127.0.0.1", port, username=token, client_id="tb-gateway")

    def called(_: Any, content: Any) -> None:
        client.gw_send_rpc_reply(content["device"], content["data"]["id"], {"done": True})
        heard.note("gateway rpc", content)

    client.gw_set_server_side_rpc_request_handler(called)
    client.connect()
    connected(client)
    client.gw_connect_device("泵 1", "pump")
    heard.note("gateway telemetry", client.gw_send_telemetry("泵 1", {"ts": 1000, "values": {"flow": 2.5}}).get())
    heard.note("gateway attributes", client.gw_send_attributes("泵 1", {"serial": "x1"}).get())
    client.gw_request_shared_attributes("泵 1", ["limit"], lambda content, _: heard.note("gateway shared", content))
    heard.wait("gateway shared")
    print("ready", flush=True)
    heard.wait("gateway rpc")
    client.gw_disconnect_device("泵 1")
    client.disconnect()


def main() -> None:
    port, token, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    heard = Heard()
    (device if kind == "device" else gateway)(port, token, heard)
    print(json.dumps(heard.answers, default=str, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
