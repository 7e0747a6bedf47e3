"""``python -m demo``: start a node, a live plant and a recorded machine, and say where to look. Ctrl-C stops all."""

import argparse
import contextlib
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from demo import apps, identifiers, provision
from demo.api import ApiError
from demo.node import NodeError, NodeProcess, Ports, free_port, write_configuration
from demo.processes import DeviceProcess, device_environment

WEB_PORT, MQTT_PORT, WEBSOCKET_PORT = 8080, 1883, 8083
# At most so long the devices wait for the apps.
APPS_S = 2.5
IDENTIFIER_PORTS = {"handle_port": 2641, "http_port": 2642, "dns_port": 2653}


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until it is stopped; return the exit status."""
    options = _options(arguments)
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    data_dir: Path = options.data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    ports = _ports(options)
    configuration = data_dir / "demo.toml"
    identifier_ports = {name: free_port(wanted) for name, wanted in IDENTIFIER_PORTS.items()}
    lines = "\n".join(f"{name} = {port}" for name, port in identifier_ports.items())
    write_configuration(configuration, data_dir, ports, extra=f"\n[identifier]\n{lines}\n")
    node = NodeProcess(data_dir, configuration, ports)
    devices: list[DeviceProcess] = []
    began = time.monotonic()
    print("Starting the node ...", flush=True)
    try:
        node.start()
        devices = _start_devices(node, data_dir)
        if not stop.is_set():
            print(_welcome(node, time.monotonic() - began), flush=True)
            # Not waited for: the plant runs without them.
            identifiers.in_background(node.api, identifier_ports["http_port"], lambda text: print(text, flush=True))
        return _watch(node, devices, stop)
    except (NodeError, ApiError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        for device in devices:
            device.stop()
        node.stop()
        print("The demo has stopped.", flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".demo"), help="data directory (default: .demo)")
    parser.add_argument("--web-port", type=int, default=WEB_PORT, help="console and API; another one if taken")
    parser.add_argument("--mqtt-port", type=int, default=MQTT_PORT, help="MQTT; another one if taken")
    parser.add_argument("--websocket-port", type=int, default=WEBSOCKET_PORT, help="MQTT over WebSocket; 0 is off")
    return parser.parse_args(arguments)


def _ports(options: argparse.Namespace) -> Ports:
    def choose(wanted: int, what: str) -> int:
        port = free_port(wanted)
        if wanted and port != wanted:
            print(f"Port {wanted} is taken: {what} listens on {port} instead.")
        return port

    return Ports(
        web=choose(options.web_port, "the console"),
        mqtt=choose(options.mqtt_port, "MQTT"),
        websocket=choose(options.websocket_port, "MQTT over WebSocket") if options.websocket_port else 0,
    )


def _start_devices(node: NodeProcess, data_dir: Path) -> list[DeviceProcess]:
    """Provision the node and start both devices."""
    api = node.api()
    try:
        # Best before the recording begins, so that the app sees all of it; waited for a moment only.
        installing = apps.in_background(node.api, lambda text: print(text, flush=True))
        provision.ensure_assets(api)
        secrets = provision.ensure_devices(api, data_dir / "demo-devices.json")
        provision.ensure_model(api)
        provision.ensure_rules(api)
        provision.ensure_events(api)
        newest = provision.newest_machine_time_ms(api)
        installing.join(APPS_S)
        port = node.ports.mqtt
        log = data_dir / "log"
        log.mkdir(exist_ok=True)
        plant, machine = provision.PLANT_DEVICE, provision.MACHINE_DEVICE
        return [
            DeviceProcess(
                "demo.tep.client", log / f"{plant}.log", device_environment("127.0.0.1", port, plant, secrets[plant])
            ),
            DeviceProcess(
                "demo.nab.client",
                log / f"{machine}.log",
                device_environment("127.0.0.1", port, machine, secrets[machine], newest),
            ),
        ]
    finally:
        api.close()


def _welcome(node: NodeProcess, seconds: float) -> str:
    sign_in = next((line.strip() for line in node.banner if line.strip().startswith("sign in")), None)
    how = (
        f"  {sign_in}\n           You choose your own password at the first sign-in."
        if sign_in
        else "  sign in  admin, with the password you chose at the first start"
    )
    return "\n".join(
        [
            "",
            f"The demo runs ({seconds:.0f} s). Open the console:",
            f"  console  {node.url}",
            how,
            "",
            "  tep      a live Tennessee Eastman plant, 52 variables over MQTT, 120 times faster than the clock.",
            "           Inject a fault on the demo page, for example IDV(4), and watch the alarm come.",
            "  nab      the recorded temperature of a real machine, replayed in 90 s with its own timestamps",
            "           (December 2013 to February 2014), its labelled failures beside the alarms raised.",
            "",
            f"  data     {node.data_dir}   (delete it to start afresh)",
            "  Ctrl-C stops everything.",
            "",
        ]
    )


def _watch(node: NodeProcess, devices: list[DeviceProcess], stop: threading.Event) -> int:
    """Wait for the end. The plant's points get their units as soon as they exist; a device that fails is told once."""
    told: set[str] = set()
    api = node.api()
    undescribed = 1
    try:
        while not stop.wait(0.5):
            if not node.running():
                print("demo: the node has ended", file=sys.stderr)
                return 1
            if undescribed:
                with contextlib.suppress(ApiError):
                    undescribed = provision.describe_points(api)
            for device in devices:
                if device.exit_status() and device.module not in told:
                    told.add(device.module)
                    print(f"demo: {device.module} has ended; see {node.data_dir / 'log'}", file=sys.stderr)
    finally:
        api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
