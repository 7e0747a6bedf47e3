"""The one box: whatever was typed or scanned, what is known of it, the way to it, and whether it is to be trusted."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from gongfu.identify.digital_link.links import read_links
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.predefined import HS_ALIAS, HS_SITE
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.management.recognition import recognise
from gongfu.identify.management.record_documents import RecordView
from gongfu.identify.management.registrations import Registrations
from gongfu.identify.management.resolve_documents import Hop, LinkView, Relation, Resolved, ResolveWish, TrustView
from gongfu.identify.management.service_sites import address_of
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.templates.types import DataType
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action, Subject, can

_MOST_RELATIONS = 200


class Answer(msgspec.Struct, frozen=True):
    """What came of asking for a handle: its values, None where there is none."""

    values: Sequence[HandleValue] | None
    hops: Sequence[Hop] = ()
    elsewhere: bool = False
    detail: str = ""


Find = Callable[[HandleName, bool], Awaitable[Answer]]
"""Finds a handle wherever it is; the second argument is whether caches are passed by."""

Verify = Callable[[HandleName, Sequence[HandleValue]], Awaitable[TrustView]]


def find_here(identifiers: Identifiers) -> Find:
    """Return what finds handles of this service only."""

    async def find(name: HandleName, _: bool) -> Answer:
        found = identifiers.lookup(name)
        match found:
            case Found():
                return Answer(found.values, [Hop(str(name), "own", "success")])
            case Elsewhere():
                where = address_of(found.values)
                code = "prefix-referral" if found.delegated else "service-referral"
                hop = Hop(str(name), "own", code, detail=where)
                return Answer(None, [hop], True, f"{found.handle} is at {where or 'another service'}")
            case Nowhere():
                return Answer(None, [Hop(str(name), "own", "handle-not-found")])

    return find


class Resolving:
    """Resolves texts, on the event loop."""

    def __init__(
        self,
        identifiers: Identifiers,
        registrations: Registrations,
        find: Find,
        *,
        verify: Verify | None = None,
        gs1_prefix: str = "",
        gs1_root: str = "",
        oids: Mapping[str, str] | None = None,
    ) -> None:
        """Make it.

        Args:
            identifiers: the store.
            registrations: show records.
            find: finds a handle wherever it is.
            verify: checks signatures.
            gs1_prefix: prefix of the handles of GS1 identifiers.
            gs1_root: address before canonical links.
            oids: prefix by the OID that it stands for.
        """
        self._identifiers = identifiers
        self._registrations = registrations
        self._find = find
        self._verify = verify
        self._gs1_prefix = gs1_prefix
        self._gs1_root = gs1_root.rstrip("/") or "https://id.gs1.org"
        self._oids = dict(oids or {})

    async def resolve(self, subject: Subject, wish: ResolveWish) -> Resolved:
        """Return what is known of a text.

        Raises:
            Problem: 400: it is blank.
        """
        if not wish.text.strip():
            raise invalid("there is nothing to resolve")
        meant = recognise(wish.text, gs1_prefix=self._gs1_prefix, oids=self._oids)
        canonical = f"{self._gs1_root}{meant.link.path}" if meant.link is not None else ""
        blank = Resolved(wish.text, meant.kind, canonical=canonical, detail=meant.detail)
        hops: list[Hop] = []
        detail = meant.detail
        for name in meant.handles:
            answer = await self._find(name, wish.fresh)
            hops += answer.hops
            if answer.values is not None:
                found = await self._found(subject, wish, name, answer, blank)
                return msgspec.structs.replace(found, trace=hops if wish.trace else [])
            detail = answer.detail or f"there is no {name}"
        first = str(meant.handles[0]) if meant.handles else ""
        return msgspec.structs.replace(blank, handle=first, trace=hops if wish.trace else [], detail=detail)

    async def _found(
        self, subject: Subject, wish: ResolveWish, name: HandleName, answer: Answer, blank: Resolved
    ) -> Resolved:
        values = answer.values or ()
        private = can(subject, Action.IDENTIFIER_WRITE)
        record = self._registrations.view(name, values, private=private)
        source = "elsewhere" if answer.elsewhere else "range" if record.kind == "ranged" else "own"
        trust = TrustView()
        if wish.verify and self._verify is not None:
            trust = await self._verify(name, values)
        return msgspec.structs.replace(
            blank,
            handle=record.handle,
            found=True,
            record=record,
            source=source,
            links=[
                LinkView(link.link_type, link.href, link.title, ",".join(link.hreflang))
                for link in read_links(values).links
            ],
            relations=self._relations(record, values),
            trust=trust,
        )

    def _relations(self, record: RecordView, values: Sequence[HandleValue]) -> list[Relation]:
        space = self._identifiers.namespace
        name, _, version = record.template.partition("@")
        forms = [one for one in space.templates.values() if one.name == name and str(one.version) == version]
        linking = {
            attribute.name for form in forms for attribute in form.attributes if attribute.type is DataType.IDENTIFIER
        }
        relations: list[Relation] = []
        shown = {value["index"] for value in record.values}
        for value in values:
            if value.index not in shown or value.type.upper() == HS_SITE:
                continue
            relations += [Relation("reference", one.handle, value.type) for one in value.references]
            if value.type in linking:
                relations.append(Relation("attribute", value.data.decode(errors="replace"), value.type))
            elif value.type.upper() == HS_ALIAS:
                relations.append(Relation("alias", value.data.decode(errors="replace"), value.type))
        return relations[:_MOST_RELATIONS]
