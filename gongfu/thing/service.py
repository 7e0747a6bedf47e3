"""Thing models of tenants: versions, and their states."""

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import conflict, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing
from gongfu.thing import records
from gongfu.thing.difference import Change, difference
from gongfu.thing.inheritance import digest_of, flatten
from gongfu.thing.shelf import DRAFT, PUBLISHED, RETIRED, chain_of
from gongfu.thing.types import Model, check_model, check_units, parse_reference, plain, reference

MAX_VERSIONS = 50_000

State = Literal["draft", "published", "retired"]


class ModelHead(msgspec.Struct, frozen=True, kw_only=True):
    """A version without its content.

    Attributes:
        reference: ``name@version``.
        state: a draft may be published or removed; a published version never changes; a retired one is published, but
            no further asset may become of it.
        digest: content hash (SHA-256, hex), which covers what it extends.
        published_at: RFC 3339 UTC, null for a draft.
    """

    reference: str
    name: str
    version: int
    state: str
    digest: str
    created_by: str
    created_at: str
    published_at: str | None


class ModelEntry(ModelHead, frozen=True, kw_only=True):
    """The newest version of a model in a list of models.

    Attributes:
        published: number of the newest version that is published (and not retired), null for none.
        instances: number of assets of all its versions.
    """

    published: int | None
    instances: int


class ModelDocument(ModelHead, frozen=True, kw_only=True):
    """A version; ``resolved`` has also what it inherits."""

    model: Model
    resolved: Model


class ThingModels:
    """Versions of tenants; every method is one transaction and blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def page(self, subject: Subject, after: str | None, limit: int, search: str = "") -> list[ModelEntry]:
        """Return the newest version of up to ``limit`` models after a name, in order of name."""
        with reading(self._engine) as connection:
            rows = records.page(connection, subject.tenant, after, limit, search)
            names = [row.name for row in rows]
            published = records.latest_of(connection, subject.tenant, names, PUBLISHED)
            assets = records.assets_of(connection, subject.tenant, names)
        return [
            ModelEntry(**_columns(row), published=published.get(row.name), instances=assets.get(row.name, 0))
            for row in rows
        ]

    def versions(self, subject: Subject, name: str) -> list[ModelHead]:
        """Return all versions of a model, newest first.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            rows = records.versions(connection, subject.tenant, name)
        if not rows:
            raise not_found(f"thing model {name!r}")
        return [_head(row) for row in rows]

    def get(self, subject: Subject, wanted: str) -> ModelDocument:
        """Return a version: ``name@version``, or ``name`` for the newest that is published, else the newest draft.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = find(connection, subject.tenant, wanted)
            return _document(connection, subject.tenant, row)

    def difference(self, subject: Subject, old: str, new: str) -> list[Change]:
        """Return what differs between two versions, with what they inherit.

        Raises:
            Problem: 404.
        """
        return difference(self.get(subject, old).resolved, self.get(subject, new).resolved)

    def create(self, subject: Subject, model: Model, *, publish: bool = False) -> tuple[ModelDocument, bool]:
        """Add a version; return it and whether it is new. The content of the newest one again makes none.

        Raises:
            Problem: 400 for the content, 409 for what it extends.
        """
        check_model(model)
        check_units(model)
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                digest = _digest(connection, subject.tenant, model)
                row = records.newest(connection, subject.tenant, model.name)
                new = row is None or row.digest != digest
                if row is None or new:
                    if records.count(connection, subject.tenant) >= MAX_VERSIONS:
                        raise conflict(f"a tenant has at most {MAX_VERSIONS} versions of models; remove drafts")
                    number = 1 if row is None else row.version + 1
                    records.add(
                        connection,
                        tenant_id=subject.tenant,
                        name=model.name,
                        version=number,
                        state=DRAFT,
                        digest=digest,
                        body=plain(model),
                        created_by=subject.name,
                        created_at=now,
                        published_at=0,
                    )
                    text = f"thing-model/{reference(model.name, number)}"
                    audit.record(connection, subject, "thing-model.create", text, now, digest)
                    row = records.version(connection, subject.tenant, model.name, number)
                if publish and row is not None and row.state == DRAFT:
                    row = self._publish(connection, subject, row, now)
                return _document(connection, subject.tenant, row), new
        except IntegrityError:
            raise conflict(f"another version of {model.name!r} was added at the same moment; try again") from None

    def publish(self, subject: Subject, wanted: str) -> ModelDocument:
        """Publish a draft; from now on it never changes.

        Raises:
            Problem: 404; 409 when it is retired, or extends a draft.
        """
        with writing(self._engine) as connection:
            row = find(connection, subject.tenant, wanted)
            if row.state == RETIRED:
                raise conflict(f"{reference(row.name, row.version)} is retired")
            if row.state == DRAFT:
                row = self._publish(connection, subject, row, self._clock.now_ns())
            return _document(connection, subject.tenant, row)

    def retire(self, subject: Subject, wanted: str) -> ModelDocument:
        """Let no further assets become of a version; those that are stay.

        Raises:
            Problem: 404, 409 for a draft.
        """
        with writing(self._engine) as connection:
            row = find(connection, subject.tenant, wanted)
            if row.state == DRAFT:
                raise conflict("a draft is not retired but removed")
            if row.state == PUBLISHED:
                records.change(connection, row.id, state=RETIRED)
                name = reference(row.name, row.version)
                audit.record(connection, subject, "thing-model.retire", f"thing-model/{name}", self._clock.now_ns())
            return _document(connection, subject.tenant, find(connection, subject.tenant, wanted))

    def reinstate(self, subject: Subject, wanted: str) -> ModelDocument:
        """Let assets become of a retired version again; one that is published stays so.

        Raises:
            Problem: 404.
        """
        with writing(self._engine) as connection:
            row = find(connection, subject.tenant, wanted)
            if row.state == RETIRED:
                records.change(connection, row.id, state=PUBLISHED)
                name = reference(row.name, row.version)
                audit.record(connection, subject, "thing-model.reinstate", f"thing-model/{name}", self._clock.now_ns())
            return _document(connection, subject.tenant, find(connection, subject.tenant, wanted))

    def remove(self, subject: Subject, wanted: str) -> None:
        """Remove a draft.

        Raises:
            Problem: 404, 409 when it is published.
        """
        with writing(self._engine) as connection:
            row = find(connection, subject.tenant, wanted)
            name = reference(row.name, row.version)
            if row.state != DRAFT:
                raise conflict(f"{name} is published; it can be retired, not removed")
            records.remove(connection, row.id)
            audit.record(connection, subject, "thing-model.delete", f"thing-model/{name}", self._clock.now_ns())

    @staticmethod
    def _publish(connection: Connection, subject: Subject, row: Any, now: int) -> Any:
        model = msgspec.convert(row.body, Model)
        parent = parse_reference(model.extends)
        if parent is not None and not chain_of(connection, subject.tenant, *parent):
            raise conflict(f"{model.extends} is not published; publish it first")
        records.change(connection, row.id, state=PUBLISHED, published_at=now)
        name = reference(row.name, row.version)
        audit.record(connection, subject, "thing-model.publish", f"thing-model/{name}", now, row.digest)
        return records.version(connection, subject.tenant, row.name, row.version)


def find(connection: Connection, tenant: int, wanted: str) -> Any:
    """Return the row of a version (see ``ThingModels.get``).

    Raises:
        Problem: 404.
    """
    name = parse_reference(wanted)
    if name is not None:
        row = records.version(connection, tenant, *name)
    else:
        row = records.newest(connection, tenant, wanted, PUBLISHED) or records.newest(connection, tenant, wanted)
    if row is None:
        raise not_found(f"thing model {wanted[:200]!r}")
    return row


def inherited(connection: Connection, tenant: int, model: Model) -> Model:
    """Return a model with what it inherits; what it extends may be a draft.

    Raises:
        Problem: 409.
    """
    chain = [model]
    while chain[-1].extends:
        parent = parse_reference(chain[-1].extends)
        row = None if parent is None else records.version(connection, tenant, *parent)
        if row is None:
            raise conflict(f"there is no {chain[-1].extends}, which {chain[-1].name} extends")
        chain.append(msgspec.convert(row.body, Model))
        if any(chain[-1].name == other.name for other in chain[:-1]):
            raise conflict(f"{chain[-1].name} would extend itself")
        if len(chain) > 64:
            break
    return flatten(chain[::-1])


def _digest(connection: Connection, tenant: int, model: Model) -> str:
    inherited(connection, tenant, model)
    parent = parse_reference(model.extends)
    row = None if parent is None else records.version(connection, tenant, *parent)
    return digest_of(model, "" if row is None else row.digest)


def _head(row: Any) -> ModelHead:
    return ModelHead(**_columns(row))


def _document(connection: Connection, tenant: int, row: Any) -> ModelDocument:
    model = msgspec.convert(row.body, Model)
    return ModelDocument(**_columns(row), model=model, resolved=inherited(connection, tenant, model))


def _columns(row: Any) -> dict[str, Any]:
    return {
        "reference": reference(row.name, row.version),
        "name": row.name,
        "version": row.version,
        "state": row.state,
        "digest": row.digest,
        "created_by": row.created_by,
        "created_at": format_rfc3339(row.created_at),
        "published_at": format_rfc3339(row.published_at) if row.published_at else None,
    }
