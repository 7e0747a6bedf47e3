"""Assets: a tree of things, each with one path in its tenant."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import asset_records, audit
from gongfu.registry.changes import Announce, RegistryChange
from gongfu.registry.live import IDS_IN_QUERY, SCAN
from gongfu.registry.names import PATH_LIMIT, RowId, check_name, check_path
from gongfu.store.records.engine import reading, writing

_TYPE_LIMIT = 120
_ATTRIBUTES_BYTES = 65_536


class AssetDocument(msgspec.Struct, frozen=True):
    """An asset; ``children`` and ``points`` are the numbers directly below it. ``online``: a device of
    it is connected, or one of its own points had a value lately, whatever connection it came through."""

    id: int
    name: str
    path: str
    parent_id: int | None
    type: str
    attributes: dict[str, Any]
    children: int
    points: int
    created_at: str
    online: bool = False


class NewAsset(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to add an asset: by ``path`` (missing parents are added too), or by ``name`` below ``parent_id``."""

    name: str | None = None
    parent_id: RowId | None = None
    path: str | None = None
    type: str = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class AssetPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change an asset; another name or parent moves it with all below it. ``attributes`` replaces all."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    parent_id: RowId | msgspec.UnsetType | None = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    attributes: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def check_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that are fit to be stored.

    Raises:
        Problem: 400; more than 64 KiB of JSON, or text that no JSON can carry.
    """
    try:
        encoded = msgspec.json.encode(attributes)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        raise invalid("attributes must be JSON in UTF-8") from None
    if len(encoded) > _ATTRIBUTES_BYTES:
        raise invalid(f"attributes must have at most {_ATTRIBUTES_BYTES} bytes of JSON")
    # The document is walked only where its text lets expect one.
    if b"\\u0000" in encoded and _has_nul(attributes):
        raise invalid("attributes must not contain the character U+0000")
    return attributes


# Raises a Problem when an asset of a tenant cannot be of a type.
CheckType = Callable[[Connection, int, str], None]


def any_type(_connection: Connection, _tenant: int, _type: str) -> None:
    """Every type will do."""


class Assets:
    """Assets of tenants; every method is one transaction and blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce, fits: CheckType = any_type) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self._fits = fits

    def page(
        self,
        subject: Subject,
        after: str | None,
        limit: int,
        *,
        search: str = "",
        parent: int | None = None,
        path: str | None = None,
        online: bool | None = None,
        alive: Collection[int] = (),
        offline: Collection[int] | None = None,
    ) -> list[AssetDocument]:
        """Return up to ``limit`` assets after a path, in order of path.

        Args:
            subject: who asks.
            after: path of the last asset of the page before.
            limit: greatest number.
            search: text in the path, see ``text_search``.
            parent: id of the parent, 0 for the roots.
            path: the exact path.
            online: True for those that are online only, False for the others only.
            alive: ids of all assets that are online.
            offline: ids of all others, if they are few.
        """
        ids = alive if online and len(alive) <= IDS_IN_QUERY else offline if online is False else None
        step = limit if online is None or ids is not None else max(limit, SCAN)
        found: list[Any] = []
        with reading(self._engine) as connection:
            while len(found) < limit:
                rows = asset_records.page(
                    connection, subject.tenant, after, step, search=search, parent=parent, path=path, ids=ids
                )
                found += [row for row in rows if online is None or (row.id in alive) == online]
                if len(rows) < step:
                    break
                after = rows[-1].path
        return [_document(row) for row in found[:limit]]

    def get(self, subject: Subject, key: int) -> AssetDocument:
        """Return an asset.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            return _document(_find(connection, subject, key))

    def id_of(self, subject: Subject, path: str) -> int:
        """Return the id of the asset at a path.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = asset_records.by_path(connection, subject.tenant, path)
        if row is None:
            raise not_found(f"asset {path!r}")
        return row.id

    def create(self, subject: Subject, request: NewAsset) -> AssetDocument:
        """Add an asset.

        Raises:
            Problem: 400 for names and the type, 404 for the parent, 409 when there is one at the path.
        """
        if (request.path is None) == (request.name is None):
            raise invalid("give either path, or name with parent_id")
        columns = {
            "type": check_type(request.type),
            "attributes": check_attributes(request.attributes),
        }
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                asset_records.lock_tree(connection, subject.tenant)
                self._fits(connection, subject.tenant, request.type)
                path = request.path
                if path is None:
                    path = check_name(request.name or "", "asset name", without="/")
                    if request.parent_id is not None:
                        path = f"{_find(connection, subject, request.parent_id).path}/{path}"
                elif request.parent_id is not None:
                    raise invalid("parent_id goes with name, not with path")
                names = check_path(path)
                key, added = asset_records.ensure(connection, subject.tenant, names, now, **columns)
                if not added:
                    raise conflict(f"there is an asset {path!r} already")
                audit.record(connection, subject, "asset.create", f"asset/{path}", now)
                document = _document(_find(connection, subject, key))
        except IntegrityError:
            # A front door added it for a device at the same moment.
            raise conflict("there is an asset at this path already") from None
        self._announce(RegistryChange(kind="asset", id=key, name=path, tenant=subject.tenant, change="created"))
        return document

    def change(self, subject: Subject, key: int, patch: AssetPatch) -> AssetDocument:
        """Change an asset; a new name or parent moves everything below it too.

        Raises:
            Problem: 400 for names, 404, 409 when the new path is taken, too long, or inside the asset itself.
        """
        now = self._clock.now_ns()
        moved: Sequence[Any] = ()
        try:
            with writing(self._engine) as connection:
                asset_records.lock_tree(connection, subject.tenant)
                row = _find(connection, subject, key)
                values: dict[str, Any] = {}
                if patch.type is not msgspec.UNSET:
                    values["type"] = check_type(patch.type)
                    if patch.type != row.type:
                        self._fits(connection, subject.tenant, patch.type)
                if patch.attributes is not msgspec.UNSET:
                    values["attributes"] = check_attributes(patch.attributes)
                path = self._new_path(connection, subject, row, patch, values)
                asset_records.change(connection, key, values)
                if path != row.path:
                    moved = asset_records.devices_below(connection, subject.tenant, path)
                audit.record(connection, subject, "asset.update", f"asset/{row.path}", now, ", ".join(sorted(values)))
                document = _document(_find(connection, subject, key))
        except IntegrityError:
            raise conflict("there is an asset at the new path already") from None
        self._announce(
            RegistryChange(
                kind="asset",
                id=key,
                name=path,
                tenant=subject.tenant,
                change="updated",
                moved=path != row.path,
                typed=document.type != row.type,
            )
        )
        # A device writes to its asset's path, which it learnt when it connected.
        for item in moved:
            self._announce(
                RegistryChange(kind="device", id=item.id, name=item.name, tenant=subject.tenant, change="updated")
            )
        return document

    def delete(self, subject: Subject, key: int, *, force: bool = False) -> None:
        """Remove an asset.

        Args:
            subject: who asks.
            key: id of the asset.
            force: also remove what is below it, with points and events. Devices are never removed this way.

        Raises:
            Problem: 404, or 409 when it is not empty, with what it contains.
        """
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                asset_records.lock_tree(connection, subject.tenant)
                row = _find(connection, subject, key)
                devices = asset_records.devices_below(connection, subject.tenant, row.path)
                if devices:
                    raise conflict(
                        f"{len(devices)} devices report for this asset or below it; delete or move them first"
                    )
                assets, points, events = asset_records.contents(connection, subject.tenant, row.path)
                if (assets or points or events) and not force:
                    raise conflict(
                        f"the asset contains {assets} assets, {points} points and {events} events; "
                        "use ?force=true to remove them too"
                    )
                asset_records.remove_tree(connection, subject.tenant, row.path)
                detail = f"{assets} assets, {points} points, {events} events" if force else ""
                audit.record(connection, subject, "asset.delete", f"asset/{row.path}", now, detail)
        except IntegrityError:
            raise conflict("alarms or rules still refer to this asset") from None
        self._announce(RegistryChange(kind="asset", id=key, name=row.path, tenant=subject.tenant, change="deleted"))

    @staticmethod
    def _new_path(connection: Connection, subject: Subject, row: Any, patch: AssetPatch, values: dict[str, Any]) -> str:
        """Put the columns of a move into ``values`` and move what is below; return the path afterwards."""
        name = row.name if patch.name is msgspec.UNSET else check_name(patch.name, "asset name", without="/")
        parent_id = row.parent_id if patch.parent_id is msgspec.UNSET else patch.parent_id
        prefix = ""
        if parent_id is not None:
            parent = _find(connection, subject, parent_id)
            if parent.path == row.path or parent.path.startswith(row.path + "/"):
                raise conflict("an asset cannot be moved into itself")
            prefix = parent.path + "/"
        path = prefix + name
        if path == row.path:
            return path
        longest = asset_records.longest_below(connection, subject.tenant, row.path)
        if longest - len(row.path) + len(path) > PATH_LIMIT:
            raise conflict(f"a path would have more than {PATH_LIMIT} characters")
        if asset_records.by_path(connection, subject.tenant, path) is not None:
            raise conflict(f"there is an asset {path!r} already")
        values |= {"name": name, "parent_id": parent_id, "path": path}
        asset_records.move_below(connection, subject.tenant, row.path, path)
        return path


def _find(connection: Connection, subject: Subject, key: int) -> Any:
    row = asset_records.by_id(connection, subject.tenant, key)
    if row is None:
        raise not_found(f"asset {key}")
    return row


def check_type(text: str) -> str:
    """Return the type of an asset.

    Raises:
        Problem: 400; see ``check_name``.
    """
    return check_name(text, "type", limit=_TYPE_LIMIT) if text else ""


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return False


def _document(row: Any) -> AssetDocument:
    return AssetDocument(
        id=row.id,
        name=row.name,
        path=row.path,
        parent_id=row.parent_id,
        type=row.type,
        attributes=row.attributes,
        children=row.children,
        points=row.points,
        created_at=format_rfc3339(row.created_at),
    )
