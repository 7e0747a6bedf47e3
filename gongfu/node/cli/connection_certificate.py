"""``gongfu connect certificates`` and ``trust``: which OPC UA machines this node talks to."""

from typing import Any

import click

from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table


@click.command("certificates")
@node_options
def certificates(as_json: bool, **node: Any) -> None:
    """List the certificates of OPC UA machines, trusted or not, and this node's own."""
    found = connect(**node).get("/connections/opcua/certificates")
    if as_json:
        print_json(found)
        return
    if found["own"]:
        print(f"own      {found['own']['fingerprint']}  {found['own']['uri']}, valid until {found['own']['expires']}")
    print_table(
        ("thumbprint", "state", "subject", "valid from", "until"),
        [(one["fingerprint"], one["state"], one["subject"], one["not_before"], one["not_after"])
         for one in found["items"]],
        empty="no certificates of machines yet; the first connection to one shows its certificate",
    )  # fmt: skip


@click.command("trust")
@click.argument("certificate")
@click.option("--revoke", is_flag=True, help="Trust it no more.")
@node_options
def trust(certificate: str, revoke: bool, as_json: bool, **node: Any) -> None:
    """Trust the certificate of an OPC UA machine: its thumbprint. Compare it with the one the machine shows first."""
    action = "reject" if revoke else "trust"
    done = connect(**node).post(f"/connections/opcua/certificates/{certificate.upper()}:{action}", {})
    print_json(done) if as_json else print(f"{done['subject']} ({done['fingerprint']}) is {done['state']}")
