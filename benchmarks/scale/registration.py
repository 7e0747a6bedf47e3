"""Many devices at once, through the import of the API like any user would."""

import json

import httpx

from demo.node import NodeProcess

BATCH = 4_000


def register(node: NodeProcess, count: int, prefix: str) -> list[tuple[str, str]]:
    """Register ``count`` devices with secrets of our own; return (name, secret) of each.

    Raises:
        httpx.HTTPStatusError: the node refused.
        RuntimeError: some lines were refused.
    """
    devices = [(f"{prefix}-{number:06d}", f"secret-of-{prefix}-{number:06d}") for number in range(count)]
    token = node.token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=node.url, headers=headers, timeout=300.0, trust_env=False) as client:
        for start in range(0, count, BATCH):
            lines = [
                json.dumps({"name": name, "asset": f"{prefix}/{name}", "secret": secret})
                for name, secret in devices[start : start + BATCH]
            ]
            answer = client.post("/v1/devices:import", content="\n".join(lines).encode())
            answer.raise_for_status()
            if (created := answer.json().get("created")) != len(lines):
                raise RuntimeError(f"{created} of {len(lines)} devices were made: {answer.text[:300]}")
    return devices
