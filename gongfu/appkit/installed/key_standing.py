"""Whether a version may run as far as its publisher's key goes: a key that was revoked stops what it signed.

Policy: what is signed with a revoked key neither starts nor goes on, and nothing goes back to it. An administrator of
the node may let one app run all the same, for that key only and with a reason, which the audit keeps.
"""

from pathlib import Path

import msgspec

from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.package.types import SIGNATURE, Signature, TrustedKeys, key_id
from gongfu.kernel.errors import Problem


def withheld(trusted: TrustedKeys, app: InstalledApp, version: InstalledVersion) -> str:
    """Return why a version of an app may not run, empty when it may."""
    if not version.key or version.key not in trusted.revoked:
        return ""
    if app.key_override is not None and app.key_override.key == version.key:
        return ""
    return f"the key {version.key} of {version.publisher} was revoked: {trusted.revoked[version.key]}"


def key_state(trusted: TrustedKeys, version: InstalledVersion) -> str:
    """Return how this node stands to the key of a version: trusted, revoked, unknown, or empty for an unsigned one."""
    if not version.key:
        return ""
    if version.key in trusted.revoked:
        return "revoked"
    return "trusted" if version.key in trusted.trusted else "unknown"


def with_key(version: InstalledVersion, folder: Path) -> InstalledVersion:
    """Return a version that was installed before keys were noted with the key that its package's signature names; as it
    is where that is not to be seen.

    Args:
        version: as it is in the records.
        folder: its package, extracted.
    """
    if version.key or not version.publisher:
        return version
    try:
        signature = msgspec.json.decode((folder / SIGNATURE).read_bytes(), type=Signature)
    except (OSError, msgspec.MsgspecError, ValueError):
        return version
    return msgspec.structs.replace(version, key=key_id(signature.key))


def key_revoked(app: str, why: str) -> Problem:
    """Return the problem for a version that may not run (409)."""
    return Problem(409, "key-revoked", "The publisher's key was revoked", f"{app}: {why}")
