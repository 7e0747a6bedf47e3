"""``gongfu tenant``."""

from typing import Any

import click

from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table
from gongfu.node.cli.quota import print_quota, quota_options, split_quota


@click.group("tenant")
def command() -> None:
    """List tenants, change their quotas."""


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List tenants."""
    tenants = connect(**node).items("/tenants")
    if as_json:
        print_json(tenants)
        return
    rows = [(str(tenant["id"]), tenant["name"], _limits(tenant["quota"])) for tenant in tenants]
    print_table(("id", "name", "quota"), rows, "no tenants")


@command.command("set")
@click.argument("name")
@quota_options
@node_options
def set_(name: str, as_json: bool, **options: Any) -> None:
    """Change the quota of a tenant, by name or id; front doors take it at once."""
    quota, node = split_quota(options)
    api = connect(**node)
    tenant = next((item for item in api.items("/tenants") if name in (item["name"], str(item["id"]))), None)
    if tenant is None:
        raise Failure(f"there is no tenant {name!r}", "see `gongfu tenant list`", NOT_FOUND, "not-found")
    changed = api.call("PATCH", f"/tenants/{segment(tenant['id'])}", {"quota": quota})
    if as_json:
        print_json(changed)
    else:
        print_quota(changed["name"], changed["quota"])


def _limits(quota: dict[str, Any] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in (quota or {}).items() if value is not None) or "-"
