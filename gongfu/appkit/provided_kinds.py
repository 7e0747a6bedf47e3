"""What a manifest says of the kinds of orders an app brings, and the declarations the order engine gets of them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gongfu.appkit.quantities import parse_duration
from gongfu.tree.orders.kinds import KindError, OrderKind, Probe, checked
from gongfu.tree.orders.types import KindName

# Kinds that come with a node; no app can bring one of these names.
RESERVED = frozenset({"notice", "device-block", "alarm-rule", "point-write", "node-upgrade"})
# Driver and probe by which a node reaches the apps.
APP = "app"
MAX_KINDS = 50

ProbeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,47}\Z", max_length=48)]
_DOTTED = r"^[a-z][a-z0-9_-]{0,62}(\.[a-z][a-z0-9_-]{0,62}){0,3}\Z"
ReportName = Annotated[str, Meta(pattern=_DOTTED, max_length=255)]
Titles = dict[Literal["zh", "en"], Annotated[str, Meta(min_length=1, max_length=200)]]


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the effect is looked at: first ``after`` the app is done, then every ``every`` until ``within`` after that.

    What was not seen by then is contradicted when the probe last saw the contrary, else unverifiable.
    """

    after: str = "0s"
    every: str = "5s"
    within: str = "1min"


class ProvidedOrderKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of order that the app carries out; ``needs.orders`` must name it, too.

    Attributes:
        name: in kebab case, unique on the node; parents issue orders by it.
        title: for people, ``{ zh = "…", en = "…" }``.
        schema: JSON Schema of the body, an object (docs/apps/orders.md says which part of JSON Schema).
        approvals: persons who must approve before it is issued, none of them an author.
        may_issue: tiers of nodes that may issue it; ``*`` is any.
        accept: ``automatic``, or ``operator``: a person at the target says yes.
        can_roll_back: whether the app's function can take the effect back (``order.rollback``).
        look: when the effect is looked at.
    """

    name: KindName
    title: Titles
    schema: dict[str, Any]
    approvals: Annotated[int, Meta(ge=0, le=5)] = 0
    may_issue: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(min_length=1)] = ("*",)
    accept: Literal["automatic", "operator"] = "automatic"
    can_roll_back: bool = False
    look: Look = Look()


def order_kind_of(provided: ProvidedOrderKind) -> OrderKind:
    """Return the declaration of a kind as the order engine takes it.

    It is allowed by default: an administrator has granted it when the app was installed.

    Raises:
        ValueError: a duration is none, or the schema is not of the subset (``KindError``).
    """
    look = provided.look
    every = parse_duration(look.every)
    if every < 100_000_000:
        raise ValueError("look.every is at least 100 ms")
    kind = OrderKind(
        name=provided.name,
        title={str(language): text for language, text in provided.title.items()},
        schema=provided.schema,
        may_issue=provided.may_issue,
        approvals=provided.approvals,
        driver=APP,
        probe=Probe(name=APP, delay=parse_duration(look.after), every=every, within=parse_duration(look.within)),
        idempotent=True,
        can_roll_back=provided.can_roll_back,
        accept=provided.accept,
        allowed=True,
    )
    return checked(kind)


def troubles_of(kinds: Sequence[ProvidedOrderKind], asked: Sequence[str], *, records: bool) -> list[tuple[str, str]]:
    """Return what is wrong with the kinds of a manifest, as (member, what to write).

    Args:
        kinds: ``provides.order_kinds``.
        asked: ``needs.orders``.
        records: ``needs.records``.
    """
    found: list[tuple[str, str]] = []
    names = [kind.name for kind in kinds]
    for index, kind in enumerate(kinds):
        member = f"provides.order_kinds[{index}]"
        if kind.name in RESERVED:
            found.append((f"{member}.name", f"{kind.name} comes with every node; choose another name"))
        if names.index(kind.name) != index:
            found.append((f"{member}.name", f"{kind.name} is there twice"))
        if kind.name not in asked:
            found.append((f"{member}.name", f'ask for it with [needs] orders = ["{kind.name}"]'))
        try:
            order_kind_of(kind)
        except KindError as error:
            found.append((f"{member}.schema", str(error)))
        except ValueError as error:
            found.append((f"{member}.look", str(error)))
    found += [
        ("needs.orders", f"{name} is not described: add [[provides.order_kinds]] with name, title and schema")
        for name in asked
        if name not in names
    ]
    if kinds and not records:
        found.append(("needs.orders", "what was carried out is kept in the app's tables: write [needs] records = true"))
    if len(kinds) > MAX_KINDS:
        found.append(("provides.order_kinds", f"at most {MAX_KINDS}"))
    return found
