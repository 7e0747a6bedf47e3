"""Recorded data played live to a node, again and again: each sample at the pace at which it was recorded."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gongfu.appkit.recordings import RecordingError, read_recording
from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import NodeApi

_STEP_S = 0.2
_MAX_ASSETS = 50
_SEVERITIES = ("good", "uncertain", "bad", "bad")

Sample = tuple[int, str, str, float, str]


class Replay:
    """Plays a recording until ``close``.

    Args:
        api: the node; a device is made there for each asset of the recording.
        file: CSV, see ``gongfu.appkit.recordings``.
        name: what the devices' names begin with.
        speed: 2 is twice as fast.

    Raises:
        RecordingError: the file is no recording.
        Failure: the devices cannot be made.
    """

    def __init__(self, api: NodeApi, file: Path, name: str, speed: float = 1.0) -> None:
        self._api = api
        self._speed = speed
        self._samples = sorted(_samples(file), key=lambda sample: sample[0])
        if not self._samples:
            raise RecordingError(f"{file} has no samples")
        assets = sorted({sample[1] for sample in self._samples})
        if len(assets) > _MAX_ASSETS:
            raise RecordingError(f"{file} has {len(assets)} assets; {_MAX_ASSETS} can be played")
        self._credentials = {asset: self._device(name, number, asset) for number, asset in enumerate(assets)}
        self._units_set = False
        self._stop = threading.Event()
        self.sent = 0
        self.trouble = ""
        self._thread = threading.Thread(target=self._play, name="replay", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return (self._samples[-1][0] - self._samples[0][0]) / 1e9

    def close(self) -> None:
        """Stop playing."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _device(self, name: str, number: int, asset: str) -> str:
        device = f"{name}-{number + 1}"
        found = [one for one in self._api.items("/devices", search=device) if one["name"] == device]
        for one in found:
            self._api.call("DELETE", f"/devices/{one['id']}")
        made = self._api.post("/devices", {"name": device, "asset": asset})
        return base64.b64encode(f"{device}:{made['secret']}".encode()).decode()

    def _play(self) -> None:
        first = self._samples[0][0]
        length = self._samples[-1][0] - first + self._gap()
        began, index, turn = time.time_ns(), 0, 0
        while not self._stop.wait(_STEP_S):
            position = round((time.time_ns() - began) * self._speed)
            due: list[tuple[int, Sample]] = []
            while True:
                sample = self._samples[index]
                at = turn * length + sample[0] - first
                if at > position or len(due) >= 50_000:
                    break
                due.append((began + round(at / self._speed), sample))
                index += 1
                if index == len(self._samples):
                    index, turn = 0, turn + 1
            try:
                self._send(due)
                self.trouble = ""
            except Failure as failure:
                self.trouble = str(failure)

    def _gap(self) -> int:
        """Return the time between the last sample and the first one of the next turn: the usual step."""
        steps = max(len({sample[0] for sample in self._samples}) - 1, 1)
        return max((self._samples[-1][0] - self._samples[0][0]) // steps, 1_000_000)

    def _send(self, due: list[tuple[int, Sample]]) -> None:
        by_asset: dict[str, list[dict[str, Any]]] = {}
        for at, (_, asset, point, value, quality) in due:
            item: dict[str, Any] = {"ts": _rfc3339(at), "values": {point: value}}
            if quality != "good":
                item["quality"] = quality
            by_asset.setdefault(asset, []).append(item)
        for asset, items in by_asset.items():
            headers = {"Authorization": f"Basic {self._credentials[asset]}", "Content-Type": "application/json"}
            status, _, content = self._api.relay("POST", "/telemetry", json.dumps(items).encode(), {}, headers)
            if status >= 400:
                raise Failure(f"the node does not take recorded data: {content[:200].decode(errors='replace')}")
            self.sent += len(items)


def _samples(file: Path) -> Iterator[Sample]:
    for piece in read_recording(file, 0, rows=100_000):
        for asset, point, _, samples in piece:
            columns = (samples.times, samples.values, samples.qualities)
            for at, value, quality in zip(*(column.tolist() for column in columns), strict=True):
                yield at, asset, point, value, _SEVERITIES[quality >> 6]


def _rfc3339(at: int) -> str:
    seconds, rest = divmod(at, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
