"""The manifest of an app, ``app.toml``: who it is, what it needs, what it may use up, what it brings.

What stands under ``[needs]`` is all an app may do: the host refuses everything else. docs/apps.md tells the members.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gongfu.appkit.manifest_lines import line_of
from gongfu.appkit.provided_kinds import ProbeName, ProvidedOrderKind, ReportName, troubles_of
from gongfu.appkit.quantities import parse_duration, parse_size
from gongfu.appkit.versions import in_range, parse_version
from gongfu.tree.orders.types import KindName

FILE = "app.toml"
CONTRACT_VERSION = "1.1.0"
MAX_BYTES = 256 * 1024
_MEMORY = (64 * 2**20, 16 * 2**30)
_STORAGE = (0, 64 * 2**30)

_IDENTIFIER = r"^[a-z0-9][a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})+$"
_KIND = r"^[a-z0-9*][a-z0-9.*-]{0,118}$"
Identifier = Annotated[str, msgspec.Meta(pattern=_IDENTIFIER, max_length=120)]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
EventKind = Annotated[str, msgspec.Meta(pattern=_KIND)]
PermissionName = Annotated[str, msgspec.Meta(pattern=r"^([a-z][a-z0-9-]{0,39})?$")]
PackagePath = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_MODULE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", re.ASCII)

# What the design names and this version of the contract does not offer; never silently accepted.
_NOT_OFFERED = {
    "identifiers": "apps cannot resolve or register identifiers yet",
    "network": "an app has no network at all; leave it out or write network = 'none'",
    "report_kinds": "apps cannot bring kinds of reports yet; declare them by `gongfu report`",
}


class ManifestError(ValueError):
    """A manifest is wrong.

    Attributes:
        file: its name.
        line: line in it, counted from 1; 0 when the trouble has none.
        member: dotted name of the member, such as ``needs.points[0].asset``.
        detail: what is wrong and what to write.
    """

    def __init__(self, file: str, line: int, member: str, detail: str) -> None:
        self.file, self.line, self.member, self.detail = file, line, member, detail
        place = f"{file}, line {line}" if line else file
        super().__init__(f"{place}: {member}: {detail}" if member else f"{place}: {detail}")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the manifest; a member that it does not know is an error."""


class Title(_Part, frozen=True):
    """A text for people, in Chinese and English."""

    zh: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    en: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class About(_Part, frozen=True):
    """Who the app is.

    Attributes:
        id: dotted lower-case name, unique on a node, such as ``com.example.vibration``.
        version: ``major.minor.patch``.
        title: name for people.
        description: what it does, one paragraph a language.
        contract: range of contract versions it was made for, such as ``1.0`` or ``>=1.0,<2``.
        module: the Python module in the package that has ``app = App()``.
        licence: SPDX expression.
    """

    id: Identifier
    version: str
    title: Title
    description: Title | None = None
    contract: str = "1.0"
    module: str = "app"
    licence: str = ""


class Asked(_Part, frozen=True):
    """Something that is asked for, with what an administrator is told of it.

    Attributes:
        name: by which it is granted or refused, and ``Context.granted`` knows it; unique, needed when it is optional.
        optional: whether it may be refused while the rest is granted; needs a reason.
        reason: why the app asks for it, for people.
    """

    name: PermissionName = ""
    optional: bool = False
    reason: Title | None = None


class PointNeed(Asked, frozen=True, kw_only=True):
    """Points the app may read or write.

    Attributes:
        asset: glob over asset paths: ``*`` and ``?`` within a level, ``**`` across levels.
        point: glob over names of points.
        type: only assets of this thing model (any version, or one that extends it); empty for all.
        access: ``read`` or ``write``. A written point is made when it is not there.
        history: how far back the app may read, such as ``30d``; empty: only what comes live, and the latest values.
    """

    point: Pattern
    asset: Pattern = "**"
    type: str = ""
    access: Literal["read", "write"] = "read"
    history: str = ""

    @property
    def history_ns(self) -> int:
        """How far back the app may read, in nanoseconds; 0 for not at all."""
        return parse_duration(self.history) if self.history else 0


class EventNeed(Asked, frozen=True, kw_only=True):
    """Kinds of events (globs) the app may note; their source is ``app:<id>``."""

    publish: tuple[EventKind, ...] = ()


class AlarmNeed(Asked, frozen=True, kw_only=True):
    """Where the app may raise alarms: glob over asset paths."""

    assets: Pattern = "**"


class ModelNeed(Asked, frozen=True, kw_only=True):
    """Mechanism models the app may invoke: glob over their ids."""

    id: Pattern


class Needs(_Part, frozen=True):
    """What the app may do; everything that is not here is refused.

    Attributes:
        points: points to read and write.
        events: events to note.
        alarms: raise and return alarms of its own.
        models: ids (globs) of mechanism models it may invoke; its own need not be named. A plain id, or a table.
        records: keep tables of its own (an SQLite file).
        objects: keep files of its own (content-addressed).
        routes: answer calls below ``/v1/apps/<id>/api/``.
        orders: kinds of orders it carries out, described in ``provides.order_kinds``.
        probes: its probes that users and other parts of the node may ask; those of its own orders need not be named.
        reports: kinds of reports it files, which this node or one above has declared.
    """

    points: tuple[PointNeed, ...] = ()
    events: EventNeed = EventNeed()
    alarms: AlarmNeed | None = None
    models: tuple[Pattern | ModelNeed, ...] = ()
    records: bool = False
    objects: bool = False
    routes: bool = False
    orders: tuple[KindName, ...] = ()
    probes: tuple[ProbeName, ...] = ()
    reports: tuple[ReportName, ...] = ()
    network: Literal["none"] = "none"

    @property
    def invoked(self) -> tuple[ModelNeed, ...]:
        """``models``, plain ids as tables."""
        return tuple(ModelNeed(id=one) if isinstance(one, str) else one for one in self.models)

    @property
    def named(self) -> tuple[tuple[str, Asked], ...]:
        """Everything that may have a name and be optional, with its member."""
        alarms = [("needs.alarms", self.alarms)] if self.alarms is not None else []
        return (
            *((f"needs.points[{index}]", need) for index, need in enumerate(self.points)),
            *alarms,
            ("needs.events", self.events),
            *((f"needs.models[{index}]", need) for index, need in enumerate(self.invoked)),
        )


class Resources(_Part, frozen=True):
    """What the app may use up.

    Attributes:
        memory: address space of its process, such as ``512 MiB`` (NumPy alone takes about 200 MiB of it).
        cpu: CPU seconds a second, averaged over a minute; 1.0 is one core.
        storage: its records and objects together.
    """

    memory: str = "512 MiB"
    cpu: Annotated[float, msgspec.Meta(gt=0, le=16)] = 0.5
    storage: str = "100 MiB"

    @property
    def memory_bytes(self) -> int:
        """``memory`` in bytes."""
        return parse_size(self.memory)

    @property
    def storage_bytes(self) -> int:
        """``storage`` in bytes."""
        return parse_size(self.storage)


class Binding(_Part, frozen=True):
    """Where a model of the app is bound when it is installed: assets by type and glob, and point by port."""

    assets: Pattern = "**"
    type: str = ""
    points: dict[str, str] = {}


class ProvidedModel(_Part, frozen=True):
    """A mechanism model in the package.

    Attributes:
        file: ``models/<name>.py`` (functions decorated with ``model``), ``.fmu``, ``.onnx`` or a table; a file that is
            not Python has its description (``ModelSpec``) beside it as ``<name>.toml``.
        bind: where it is bound at installation.
    """

    file: PackagePath
    bind: tuple[Binding, ...] = ()


class Page(_Part, frozen=True):
    """A page of the console: a file of the package below ``pages/``, shown in a frame without the user's session."""

    file: PackagePath
    title: Title


class Provides(_Part, frozen=True):
    """What the app brings: models, rule files, thing-model files, pages, and kinds of orders. Jobs, routes and probes
    are found in the code."""

    models: tuple[ProvidedModel, ...] = ()
    rules: tuple[PackagePath, ...] = ()
    thing_models: tuple[PackagePath, ...] = ()
    pages: tuple[Page, ...] = ()
    order_kinds: tuple[ProvidedOrderKind, ...] = ()


class Manifest(_Part, frozen=True):
    """A whole manifest."""

    app: About
    needs: Needs = Needs()
    resources: Resources = Resources()
    provides: Provides = Provides()


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file.

    Raises:
        ManifestError: it is wrong, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(str(path), 0, "", f"cannot be read: {error.strerror}") from None
    return parse_manifest(data, str(path))


def parse_manifest(data: bytes, file: str = FILE) -> Manifest:
    """Return the manifest in the bytes of an ``app.toml``.

    Args:
        data: TOML 1.0, UTF-8.
        file: its name in messages.

    Raises:
        ManifestError: file, line, member and what to write instead.
    """
    if len(data) > MAX_BYTES:
        raise ManifestError(file, 0, "", f"has more than {MAX_BYTES} bytes")
    text = ""
    try:
        text = data.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise ManifestError(file, 0, "", "is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ManifestError(file, line, "", f"is not TOML: {str(error).partition(' (at')[0]}") from None

    def fail(member: str, detail: str) -> ManifestError:
        return ManifestError(file, line_of(text, member), member, detail)

    for table in ("needs", "provides"):
        given: Any = document.get(table)
        for name in given if isinstance(given, dict) else ():
            if name in _NOT_OFFERED and not (name == "network" and given[name] == "none"):
                raise fail(f"{table}.{name}", f"contract {CONTRACT_VERSION} does not offer it: {_NOT_OFFERED[name]}")
    try:
        manifest = msgspec.convert(document, Manifest)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        member = where.rstrip("`").lstrip(".").removesuffix("]") + ("]" if where.endswith("]`") else "")
        unknown = re.search(r"unknown field `(.+)`", what)
        missing = re.search(r"missing required field `(.+)`", what)
        name = unknown or missing
        if name is not None:
            member = f"{member}.{name[1]}".lstrip(".")
            what = "there is no such member; see docs/apps.md" if unknown else "is needed and not there"
        raise fail(member, _explained(member, what)) from None
    for member, detail in _troubles(manifest):
        raise fail(member, detail)
    return manifest


def _explained(member: str, what: str) -> str:
    if member == "app.id":
        return "write at least two lower-case words of a-z, 0-9 and - with dots between, such as 'com.example.pump'"
    return what


def _troubles(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what the types do not say, as (member, what to write)."""
    found: list[tuple[str, str]] = []

    def check(member: str, action: Any) -> None:
        try:
            action()
        except ValueError as error:
            found.append((member, str(error)))

    def fits() -> None:
        if not in_range(CONTRACT_VERSION, manifest.app.contract):
            raise ValueError(f"this node offers contract {CONTRACT_VERSION}, the app wants {manifest.app.contract}")

    check("app.version", lambda: parse_version(manifest.app.version))
    check("app.contract", fits)
    if manifest.provides.rules and manifest.needs.alarms is None:
        found.append(("provides.rules", "rules raise alarms: ask for them with [needs.alarms]"))
    found += _permission_troubles(manifest)
    if not _MODULE.fullmatch(manifest.app.module):
        found.append(("app.module", "write the name of a Python module in the package, such as 'app'"))
    for index, need in enumerate(manifest.needs.points):
        member = f"needs.points[{index}]"
        if need.history:
            check(f"{member}.history", lambda need=need: parse_duration(need.history))
            if need.access == "write":
                found.append((f"{member}.history", "belongs to access = 'read'"))
    needs = manifest.needs
    found += troubles_of(manifest.provides.order_kinds, needs.orders, records=needs.records)
    for name, (low, high) in (("memory", _MEMORY), ("storage", _STORAGE)):
        check(f"resources.{name}", lambda name=name, low=low, high=high: _within(manifest.resources, name, low, high))
    for member, path in _paths(manifest.provides):
        if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
            found.append((member, "write a path inside the package, with / between its parts"))
        elif member.startswith("provides.pages") and not path.startswith("pages/"):
            found.append((member, "pages stand below pages/"))
    return found


def _permission_troubles(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what is wrong with names and options of what is asked for."""
    found: list[tuple[str, str]] = []
    names: set[str] = set()
    for member, need in manifest.needs.named:
        if need.optional and not need.name:
            found.append((f"{member}.optional", "give it a name by which it is refused, such as name = 'speed'"))
        elif need.optional and need.reason is None:
            found.append((f"{member}.optional", "say why it is good to have: reason = { zh = '…', en = '…' }"))
        if need.name and need.name in names:
            found.append((f"{member}.name", f"{need.name!r} is the name of something else, too"))
        names.add(need.name)
    alarms = manifest.needs.alarms
    if manifest.provides.rules and alarms is not None and alarms.optional:
        found.append(("needs.alarms.optional", "rules of the package raise alarms: they cannot be refused"))
    return found


def _within(resources: Resources, name: str, low: int, high: int) -> None:
    size = parse_size(getattr(resources, name))
    if not low <= size <= high:
        raise ValueError(f"must be {low // 2**20} MiB to {high // 2**20} MiB")


def _paths(provides: Provides) -> list[tuple[str, str]]:
    return [
        *((f"provides.models[{i}].file", model.file) for i, model in enumerate(provides.models)),
        *((f"provides.rules[{i}]", file) for i, file in enumerate(provides.rules)),
        *((f"provides.thing_models[{i}]", file) for i, file in enumerate(provides.thing_models)),
        *((f"provides.pages[{i}].file", page.file) for i, page in enumerate(provides.pages)),
    ]
