"""Identifiers of the demo: two enterprises, a template, some hundred pumps and machines, a range, an application that
waits for its review, and the life of one pump from its casting to the plant where it runs, as EPCIS events.

All of it by the public APIs. The root 99.168 is nobody's; names are invented. Again, nothing changes that is there.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from demo.api import Api, ApiError
from demo.provision import PLANT
from demo.tep.variables import ASSETS

ROOT = "99.168"
MAKER, OPERATOR = "99.168.1", "99.168.2"
TEMPLATE = "machine"
PUMPS = 300
SEALS = "M01{0001..9999}"
READY_S = 60.0
_PREFIXES = (
    {"name": MAKER, "enterprise": "示范泵业有限公司", "region": "370000", "industry": "C34"},
    {"name": OPERATOR, "enterprise": "示范化工有限公司", "region": "330000", "industry": "C26"},
)
_TEMPLATE: dict[str, Any] = {
    "name": TEMPLATE,
    "title": {"zh": "机器", "en": "Machine"},
    "industry": "C34",
    "attributes": [
        {"name": "model", "index": 2000, "required": True, "title": {"zh": "型号", "en": "Model"}},
        {"name": "maker", "index": 2001, "title": {"zh": "制造商", "en": "Maker"}},
        {"name": "made", "index": 2002, "type": "date", "title": {"zh": "生产日期", "en": "Made"}},
        {"name": "power", "index": 2003, "type": "decimal", "unit": "kW", "title": {"zh": "功率", "en": "Power"}},
        {"name": "asset", "index": 2004, "title": {"zh": "本节点资产", "en": "Asset of this node"}},
    ],
}
# A pump, what it was made of, and what it was packed in; the company prefix is the one of GS1's examples.
PUMP = "https://id.example.com/01/09506000134352/21/P0042"
_CASTING = "urn:epc:class:lgtin:9506000.012345.L2026-03"
_MOTOR = "https://id.example.com/01/09506000134369/21/M7001"
_PALLET = "urn:epc:id:sscc:9506000.1000000042"
_WORKS, _PLANT = "urn:epc:id:sgln:9506000.00001.0", "urn:epc:id:sgln:9506000.00002.0"


def ensure_identifiers(api: Api, http_port: int) -> int:
    """Set the service up and register what is not there; return how many identifiers it has then.

    Args:
        api: client of the node.
        http_port: of its identifier service, on loopback.

    Raises:
        ApiError: the node refuses something, or the service does not start.
    """
    _unless(lambda: api.post("/identifiers:init", {"prefix": ROOT}), 409)
    _await(lambda: api.get("/identifiers/prefixes", limit=1))
    for prefix in _PREFIXES:
        _unless(lambda prefix=prefix: api.post("/identifiers/prefixes", prefix), 409)
    _ensure_template(api)
    _ensure_records(api)
    _link_assets(api)
    _ensure_application(api)
    _ensure_events(api, http_port)
    _resolve_some(http_port)
    return int(api.get("/identifiers")["registered"]["total"])


def in_background(api: Callable[[], Api], http_port: int, tell: Callable[[str], None]) -> threading.Thread:
    """Set the identifiers up beside the rest of the demo, which does not wait for them."""

    def run() -> None:
        client = api()
        try:
            count = ensure_identifiers(client, http_port)
            tell(f"  ids      {count:,} identifiers below {ROOT}: try {MAKER}/P-0042 or {PUMP} in the workbench.")
        except (ApiError, httpx.HTTPError) as error:
            tell(f"demo: no identifiers: {error}")
        finally:
            client.close()

    thread = threading.Thread(target=run, name="identifiers", daemon=True)
    thread.start()
    return thread


def _unless(action: Callable[[], Any], status: int) -> Any:
    """Do something; None where the node says with this status that it is done already."""
    try:
        return action()
    except ApiError as error:
        if error.status != status:
            raise
        return None


def _await(action: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return action()
        except ApiError as error:
            if error.status != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _ensure_template(api: Api) -> None:
    _unless(lambda: api.post("/identifiers/templates", _TEMPLATE), 409)
    version = f"/identifiers/templates/{TEMPLATE}/versions/1"
    if api.get(version)["state"] == "draft":
        api.post(f"{version}:publish")


def _ensure_records(api: Api) -> None:
    pumps = [
        {
            "handle": f"{MAKER}/P-{number:04d}",
            "attributes": {
                "model": f"IS{50 + 15 * (number % 4)}-{number % 7 + 1}",
                "maker": "示范泵业有限公司",
                "made": f"2026-{number % 9 + 1:02d}-{number % 28 + 1:02d}",
                "power": f"{1.5 * (number % 5 + 1):g}",
            },
        }
        for number in range(1, PUMPS + 1)
    ]
    plant = [
        {"handle": f"{OPERATOR}/{PLANT}/{name}", "attributes": {"model": name, "asset": f"{PLANT}/{name}"}}
        for name in ASSETS
    ]
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in [*pumps, *plant])
    api.send(f"/identifiers:batch?template={TEMPLATE}&results=failed", lines.encode(), "application/x-ndjson", "demo")
    wanted = {"prefix": MAKER, "range": SEALS, "template": TEMPLATE, "attributes": {"model": "M01-{number:4}"}}
    if not any(api.items("/identifiers/ranges", prefix=MAKER)):
        api.post("/identifiers/ranges", wanted)


def _link_assets(api: Api) -> None:
    """Give the plant's assets their identifiers."""
    for name in ASSETS:
        path, handle = f"{PLANT}/{name}", f"{OPERATOR}/{PLANT}/{name}"
        for asset in list(api.items("/assets", path=path)):
            if asset["path"] == path and asset["attributes"].get("identifier") != handle:
                api.patch(f"/assets/{asset['id']}", {"attributes": {**asset["attributes"], "identifier": handle}})


def _ensure_application(api: Api) -> None:
    """Let an enterprise apply for a prefix: something for the reviewer to decide."""
    if any(api.items("/identifiers/applications")):
        return
    body = {"name": "示范阀门有限公司", "credit_code": "91350100M000100Y43", "region": "350100", "industry": "C34"}
    number = api.post("/identifiers/applications", {**body, "contact": "", "wanted_prefix": ""})["id"]
    address = f"/identifiers/applications/{number}/documents?kind=business-licence&name=licence.txt"
    api.send(address, "营业执照（演示）".encode(), "text/plain", method="PUT")
    api.post(f"/identifiers/applications/{number}:submit", {})


def _ensure_events(api: Api, http_port: int) -> None:
    """Capture the life of a pump as a client of EPCIS does: with the secret key of the maker's prefix."""
    if api.post("/identifiers:timeline", {"thing": PUMP})["events"]:
        return
    secret = secrets.token_hex(16)
    value = {"index": 300, "type": "HS_SECKEY", "data": secret, "permissions": "1100"}
    naming = {"handle": f"0.NA/{MAKER}"}
    if _unless(lambda: api.patch("/identifiers/record", {**naming, "add": [value]}), 409) is None:
        api.patch("/identifiers/record", {**naming, "modify": [value]})
    answer = httpx.post(
        f"http://127.0.0.1:{http_port}/epcis/capture",
        json=document(),
        headers={"content-type": "application/ld+json"},
        auth=(f"300%3A0.NA/{MAKER}", secret),
        timeout=30,
        trust_env=False,
    )
    answer.raise_for_status()


def document() -> dict[str, Any]:
    """Return the events: cast, assembled, packed, shipped, received, unpacked, installed, inspected."""

    def event(day: int, kind: str, step: str, place: str, **more: Any) -> dict[str, Any]:
        moment = {"eventTime": f"2026-04-{day:02d}T09:00:00+08:00", "eventTimeZoneOffset": "+08:00"}
        return {"type": kind, **moment, "bizStep": step, "readPoint": {"id": place}, **more}

    children = {"parentID": _PALLET, "childEPCs": [PUMP]}
    lot = [{"epcClass": _CASTING, "quantity": 1}]
    seen = {"epcList": [PUMP], "action": "OBSERVE"}
    moved = {"epcList": [_PALLET], "action": "OBSERVE"}
    listed = [
        event(1, "ObjectEvent", "commissioning", _WORKS, epcList=[], quantityList=lot, action="ADD"),
        event(3, "TransformationEvent", "assembling", _WORKS, inputEPCList=[_MOTOR], inputQuantityList=lot,
              outputEPCList=[PUMP]),
        event(4, "ObjectEvent", "inspecting", _WORKS, **seen, disposition="conformant"),
        event(5, "AggregationEvent", "packing", _WORKS, **children, action="ADD"),
        event(6, "ObjectEvent", "shipping", _WORKS, **moved, disposition="in_transit"),
        event(9, "ObjectEvent", "receiving", _PLANT, **moved, bizLocation={"id": _PLANT}),
        event(9, "AggregationEvent", "unpacking", _PLANT, **children, action="DELETE"),
        event(12, "ObjectEvent", "installing", _PLANT, **seen, disposition="active", bizLocation={"id": _PLANT}),
    ]  # fmt: skip
    return {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-04-12T09:00:00+08:00",
        "epcisBody": {"eventList": listed},
    }


def _resolve_some(http_port: int) -> None:
    """Ask for some, one of them again and again: the overview tells real resolutions and replayed ones apart."""
    with httpx.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=30, trust_env=False) as client:
        for number in [*range(1, 21), *[7] * 10]:
            client.get(f"/api/handles/{MAKER}/P-{number:04d}").raise_for_status()
