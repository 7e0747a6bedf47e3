"""What is kept of an installed app, and what the API says of it."""

from typing import Annotated, Any

import msgspec

from gongfu.appkit.host.status import AppStatus
from gongfu.appkit.manifest import Manifest, Needs


class InstalledVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it was installed.

    Attributes:
        version: ``major.minor.patch``.
        generation: names its folders ``code-<n>`` and ``state-<n>``.
        sha256: of the package; empty for a folder that a developer runs.
        publisher: who signed it, as this node calls them; empty for an unsigned package.
        key: id of the key that signed it.
        manifest: as it was in the package.
        granted: what an administrator granted.
        models: ids of the models it brings.
        thing_models: references of the thing models that it and the versions before it made.
    """

    version: str
    generation: int
    sha256: str
    publisher: str
    manifest: Manifest
    granted: Needs
    key: str = ""
    models: tuple[str, ...] = ()
    thing_models: tuple[str, ...] = ()


class KeyOverride(msgspec.Struct, frozen=True, kw_only=True):
    """That an app runs although a key was revoked: which key, why, and which administrator of the node decided it."""

    key: str
    reason: str
    by: str


class InstalledApp(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``installed_app``."""

    id: int
    tenant: int
    app: str
    status: str
    enabled: bool
    current: InstalledVersion
    previous: InstalledVersion | None
    generation: int
    installed_by: str
    installed_at: int
    changed_at: int
    trouble: str = ""
    pending: InstalledVersion | None = None
    key_override: KeyOverride | None = None


class PermissionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an app asks for, for people who decide about it.

    Attributes:
        kind, what, line, name, optional, reason: see ``permissions.Permission``.
        granted: whether it was granted; of a package, whether it is proposed to grant it: what was refused before is
            not.
        new: of a package, whether the installed version does not have it.
    """

    kind: str
    what: str
    line: str
    name: str
    optional: bool
    reason: dict[str, str]
    granted: bool
    new: bool = False


class AppDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An installed app as the API shows it.

    Attributes:
        id: identifier.
        version: that is installed.
        previous: version that a rollback goes back to, null for none.
        title: by language.
        status: ``installed``, or what is under way: ``installing``, ``upgrading``, ``rolling-back``, ``removing``. What
            was broken off is ``removing`` or ``restoring`` until that succeeds, with the reason in ``trouble``.
        enabled: whether it is to run.
        publisher: who signed its package; empty for an unsigned one.
        key: id of the key that signed its package.
        key_state: ``trusted``, ``revoked``, ``unknown``, or empty for an unsigned one.
        withheld: why it may not run because of its key, empty when it may.
        key_override: that it may although its key was revoked, with the reason; null for no such decision.
        sha256: of its package.
        asks: what it may do, a line each, for people.
        permissions: what it asks for, one by one, and whether it was granted.
        pages: its pages: address below ``/v1/apps/<id>/pages/`` and titles.
        models: ids of the models it brought.
        trouble: what the last step that failed said.
        manifest: the whole manifest.
        running: how it runs; null while the role ``apps`` does not answer.
    """

    id: str
    version: str
    previous: str | None
    title: dict[str, str]
    status: str
    enabled: bool
    publisher: str
    sha256: str
    asks: list[str]
    permissions: list[PermissionDocument]
    pages: list[dict[str, Any]]
    models: list[str]
    trouble: str
    installed_by: str
    installed_at: str
    changed_at: str
    manifest: dict[str, Any]
    key: str = ""
    key_state: str = ""
    withheld: str = ""
    key_override: KeyOverride | None = None
    running: AppStatus | None = None


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was looked at and not installed.

    Attributes:
        id: identifier of the app.
        version: of the package.
        title: by language.
        publisher: who signed it, as this node calls them; empty when it is unsigned or the key is not trusted here.
        signed: whether somebody signed it.
        trusted: whether this node takes what they sign.
        asks: what it asks for, a line each.
        new: those of ``asks`` that the installed version does not have.
        permissions: what it asks for, one by one; ``granted`` as it is proposed.
        installed: the version that is installed, null for none.
        manifest: the whole manifest.
        sha256: of the package; give it at the installation, so that what was looked at is what is installed.
    """

    id: str
    version: str
    title: dict[str, str]
    sha256: str
    publisher: str
    signed: bool
    trusted: bool
    asks: list[str]
    new: list[str]
    permissions: list[PermissionDocument]
    installed: str | None
    manifest: dict[str, Any]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What the web role asks the role ``apps`` to do.

    Attributes:
        verb: ``install`` (or upgrade), ``rollback``, ``remove``, ``enable``, ``disable``, ``grant``,
            ``allow-key``.
        app: identifier; of ``install`` empty: it stands in the package.
        file: name of the package in the folder of incoming packages.
        allow_unsigned: take a package that nobody signed.
        consent: somebody looked at what the package asks for and agreed.
        without: of ``install`` and ``grant``, names of optional permissions that are refused; null: those that are
            refused already.
        reason: of ``allow-key``; empty ends what was allowed.
        user, name, tenant, role: who asks.
    """

    verb: str
    app: str = ""
    file: str = ""
    allow_unsigned: bool = False
    consent: bool = False
    without: list[str] | None = None
    reason: str = ""
    user: int = 0
    name: str = ""
    tenant: int = 0
    role: str = ""


class AllowKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an app may run although its publisher's key was revoked."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class RouteCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a route of an app, from the web role."""

    app: str
    tenant: int
    method: str
    parts: list[str]
    query: dict[str, str]
    body: bytes
    user: str
    role: str


class RouteAnswer(msgspec.Struct, frozen=True):
    """What a route answered."""

    status: int
    media_type: str
    body: bytes


class AppAsk(msgspec.Struct, frozen=True):
    """Which app, for status and log; empty: all of the tenant."""

    tenant: int
    app: str = ""
    lines: int = 200
