"""``gongfu device``."""

import json
import time
from typing import Any

import click

from gongfu.node.cli import device_import
from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table
from gongfu.node.cli.quota import print_quota, quota_options, split_quota


@click.group("device")
def command() -> None:
    """Add, list, show, change and remove devices."""


command.add_command(device_import.command)


@command.command("add")
@click.argument("name")
@click.option("--asset", help="Path of the asset it reports for; default: one with its name.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Attribute of the asset.")
@click.option("--secret", help="Secret of at least 16 characters to import; default: a generated one.")
@click.option("--publish", multiple=True, metavar="FILTER", help="Further topics it may publish to.")
@click.option("--subscribe", multiple=True, metavar="FILTER", help="Further topics it may subscribe to.")
@node_options
def add(
    name: str,
    asset: str | None,
    attributes: tuple[str, ...],
    secret: str | None,
    publish: tuple[str, ...],
    subscribe: tuple[str, ...],
    as_json: bool,
    **node: Any,
) -> None:
    """Add a device and print its secret, which is shown only now."""
    body: dict[str, Any] = {"name": name}
    if asset:
        body["asset"] = asset
    if secret:
        body["secret"] = secret
    if attributes:
        body["attributes"] = dict(_attribute(text) for text in attributes)
    if publish:
        body["publish_filters"] = list(publish)
    if subscribe:
        body["subscribe_filters"] = list(subscribe)
    made = connect(**node).post("/devices", body)
    if as_json:
        print_json(made)
        return
    device = made["device"]
    print(f"device   {device['name']} (id {device['id']}), asset {device['asset_path']}")
    print(f"secret   {made['secret']}   (shown only now)")
    print("MQTT     user name = device name, password = secret, topic v1/devices/me/telemetry")


@command.command("list")
@click.option("--search", help="Text in name, asset path or attributes, ^PREFIX, or attributes.NAME=VALUE.")
@click.option("--online/--offline", default=None, help="Only those connected, or not.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(search: str | None, online: bool | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List devices."""
    flag = None if online is None else str(online).lower()
    devices = connect(**node).items("/devices", limit, search=search, online=flag)
    if as_json:
        print_json(devices)
        return
    now = time.time_ns()
    print_table(
        ("id", "name", "asset", "online", "last seen", "points", "rejected", "shed"),
        [
            (
                str(device["id"]),
                device["name"],
                device["asset_path"],
                device["online"] if device["enabled"] else "disabled",
                ago(device["last_seen"], now),
                device["points"],
                device["rejected"],
                device["shed"],
            )
            for device in devices
        ],
        "no devices; add one with `gongfu device add NAME`",
    )


@command.command("show")
@click.argument("name")
@node_options
def show(name: str, as_json: bool, **node: Any) -> None:
    """Show a device by name or id."""
    device = find_device(connect(**node), name)
    if as_json:
        print_json(device)
    else:
        print_table(("field", "value"), [(key, value) for key, value in device.items()])


@command.command("rotate")
@click.argument("name")
@node_options
def rotate(name: str, as_json: bool, **node: Any) -> None:
    """Give a device a new secret; connections with the old one end."""
    api = connect(**node)
    device = find_device(api, name)
    answer = api.post(f"/devices/{segment(device['id'])}:rotateSecret", {})
    if as_json:
        print_json({"device": device["name"], **answer})
    else:
        print(f"secret   {answer['secret']}   (shown only now; the old one is void)")


@command.command("set")
@click.argument("name")
@quota_options
@node_options
def set_(name: str, as_json: bool, **options: Any) -> None:
    """Change the quota of a device; front doors take it at once."""
    quota, node = split_quota(options)
    api = connect(**node)
    device = find_device(api, name)
    changed = api.call("PATCH", f"/devices/{segment(device['id'])}", {"quota": quota})
    if as_json:
        print_json(changed)
    else:
        print_quota(changed["name"], changed["quota"])


@command.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def remove(name: str, yes: bool, as_json: bool, **node: Any) -> None:
    """Remove a device. Its asset and history stay."""
    api = connect(**node)
    device = find_device(api, name)
    if not yes:
        click.confirm(f"Remove device {device['name']} (id {device['id']})?", abort=True, err=True)
    api.call("DELETE", f"/devices/{segment(device['id'])}")
    if as_json:
        print_json({"removed": device["id"], "name": device["name"]})
    else:
        print(f"removed {device['name']}")


def find_device(api: NodeApi, name: str) -> dict[str, Any]:
    """Return a device by exact name, or by id when the text is a number and no device has it as name.

    Raises:
        Failure: there is none.
    """
    for device in api.items("/devices", search=name):
        if device["name"] == name:
            return dict(device)
    if name.isascii() and name.isdigit():
        return dict(api.get(f"/devices/{name}"))
    raise Failure(f"there is no device {name!r}", "see `gongfu device list`", NOT_FOUND, "not-found")


def _attribute(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(f"attribute {text!r} is not NAME=VALUE", code="usage", status=2)
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
