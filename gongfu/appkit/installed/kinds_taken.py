"""Whether the kinds of orders an app brings are free on this node."""

from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.manifest import Manifest
from gongfu.kernel.errors import conflict, forbidden
from gongfu.kernel.permissions import NODE_TENANT


def check_kinds_free(records: InstalledRecords, tenant: int, manifest: Manifest) -> None:
    """Raise unless an app of a tenant may bring its kinds of orders. Blocks on the records.

    Raises:
        Problem: 403 for another tenant than the node's own, since orders are given to nodes; 409 when another app
            brings a kind of the same name.
    """
    wanted = {kind.name for kind in manifest.provides.order_kinds}
    if not wanted:
        return
    if tenant != NODE_TENANT:
        raise forbidden("orders are given to the node: only its own tenant installs apps that carry them out")
    for app in records.all():
        taken = wanted & {kind.name for kind in app.current.manifest.provides.order_kinds}
        if app.app != manifest.app.id and taken:
            raise conflict(f"orders {sorted(taken)[0]!r} are carried out by {app.app} already")
