"""``gongfu user``."""

import os
import subprocess
import sys
from typing import Any

import click

from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table
from gongfu.node.runtime import RUNTIME_VARIABLE

ROLES = ("admin", "engineer", "operator", "viewer")


@click.group("user")
def command() -> None:
    """Add and list users, reset passwords."""


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--tenant", type=click.IntRange(1), help="Tenant id; default: your own.")
@click.option("--language", default="zh", show_default=True)
@node_options
def add(name: str, role: str, tenant: int | None, language: str, as_json: bool, **node: Any) -> None:
    """Add a user and print the one-time password."""
    body: dict[str, Any] = {"name": name, "role": role, "language": language}
    if tenant is not None:
        body["tenant_id"] = tenant
    _print_password(connect(**node).post("/users", body), as_json)


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List users."""
    users = connect(**node).items("/users")
    if as_json:
        print_json(users)
        return
    print_table(
        ("id", "name", "role", "tenant", "language", "enabled", "must change password"),
        [
            (
                str(user["id"]),
                user["name"],
                user["role"],
                user["tenant_name"],
                user["language"],
                user["enabled"],
                user["must_change_password"],
            )
            for user in users
        ],
        "no users",
    )


@command.command("reset-password")
@click.argument("name")
@node_options
def reset_password(name: str, as_json: bool, **node: Any) -> None:
    """Give a user a new one-time password and end all of its sessions."""
    api = connect(**node)
    user = next((user for user in api.items("/users") if user["name"] == name), None)
    if user is None:
        raise Failure(f"there is no user {name!r}", "see `gongfu user list`", NOT_FOUND, "not-found")
    answer = api.call("PATCH", f"/users/{segment(user['id'])}", {"reset_password": True})
    _renew_own_token(api)
    _print_password(answer, as_json)


def _renew_own_token(api: NodeApi) -> None:
    """Make a new token of the command line when the reset has ended the one of this machine's node."""
    if api.local is not None and api.local.runtime.exists():
        subprocess.run(
            [sys.executable, "-m", "gongfu.node.prepare"],
            env={**os.environ, RUNTIME_VARIABLE: str(api.local.runtime)},
            stdout=subprocess.DEVNULL,
            check=False,
        )


def _print_password(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    user = answer["user"]
    print(f"user      {user['name']} ({user['role']}, id {user['id']})")
    print(f"password  {answer['password']}   (one-time, shown only now; must be changed at the first sign-in)")
