"""Apps of the demo: process monitoring of the plant and anomalies of the recorded machine, installed as anyone does.

Packed from the shipped sources, unsigned, and granted what they ask for: this is a demo on loopback. Again, nothing
changes that is there.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

import gongfu.apps
from demo.api import Api, ApiError
from demo.provision import PLANT
from gongfu.appkit.package import PackageError
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source

SHIPPED = Path(gongfu.apps.__file__).parent
MONITORING = "gongfu.process-monitoring"
INSTALLED = {MONITORING: "process_monitoring", "gongfu.machine-anomaly": "machine_anomaly"}
# The plant gives a sample every half second; so many take a little more than four minutes.
MONITOR: dict[str, Any] = {"asset": PLANT, "period_s": 0.5, "learn_next": 500}


def ensure_apps(api: Api) -> list[str]:
    """Install the apps that are not there, and let one learn the plant; return what was installed.

    Raises:
        ApiError: the node refuses something.
        PackageError: a shipped app cannot be packed.
    """
    there = {app["id"] for app in api.get("/apps")["items"]}
    missing = {app: folder for app, folder in INSTALLED.items() if app not in there}
    for folder in missing.values():
        files = read_source(SHIPPED / folder)
        packed = pack(files, origin_of(SHIPPED / folder, files, built_by="make demo"), None)
        api.send("/apps:install?grant=all&unsigned=true", packed, "application/zip")
    api.put(f"/apps/{MONITORING}/api/monitors/{PLANT}", MONITOR)
    return list(missing)


def in_background(api: Callable[[], Api], tell: Callable[[str], None]) -> threading.Thread:
    """Install the apps beside the rest of the demo, which does not wait for them."""

    def run() -> None:
        client = api()
        try:
            ensure_apps(client)
            tell("  apps     process monitoring learns the plant for four minutes; machine anomaly judges the machine.")
        except (ApiError, PackageError, httpx.HTTPError) as error:
            tell(f"demo: no apps: {error}")
        finally:
            client.close()

    thread = threading.Thread(target=run, name="apps", daemon=True)
    thread.start()
    return thread
