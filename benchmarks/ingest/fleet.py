"""Devices with credentials for the load, made through the REST API."""

from concurrent.futures import ThreadPoolExecutor

from demo.api import Api


def make_devices(api: Api, count: int, prefix: str, parallel: int = 4) -> list[tuple[str, str]]:
    """Make ``count`` devices and return (name, secret) of each."""

    def make(number: int) -> tuple[str, str]:
        name = f"{prefix}-{number:04d}"
        return name, api.post("/devices", {"name": name, "asset": f"{prefix}/{name}"})["secret"]

    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(make, range(count)))
