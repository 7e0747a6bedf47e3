"""Terms of an offer, the agreement that both sign, and what is asked and answered. Times inside are UTC ns."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gongfu.tree.membership.keys import NodeId, PublicKey

MAX_PAYLOAD = 4 << 20
# Of an offer's terms as JSON: an agreement carries them, and a signed document has at most 32 KiB.
MAX_TERMS = 20 * 1024
ANYONE = "*"

Name = Annotated[str, Meta(max_length=200)]
Instant = Annotated[int, Meta(ge=0, le=2**62)]
Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9-]{8,40}\Z")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
CallId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
CallKey = Annotated[str, Meta(pattern=r"^[!-~]{1,100}\Z")]
Reason = Annotated[str, Meta(min_length=1, max_length=1000)]
State = Literal["proposed", "valid", "refused", "ended"]
Side = Literal["provider", "consumer"]


class PortTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A port of an offered model: name, UCUM unit, words."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    unit: Annotated[str, Meta(max_length=60)]
    description: Annotated[str, Meta(max_length=300)] = ""


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is offered on which terms; never changes after the offer was made.

    Attributes:
        offer: id.
        provider: node that offers.
        provider_name: its name.
        kind: ``model``: a mechanism model; ``route``: a route of an app.
        target: id of the model or app.
        version: of the model; empty for the newest one.
        method: of a route.
        path: of a route, below the app's routes, begins with ``/``.
        title: by language.
        text: the contract's words.
        inputs: ports of a model.
        outputs: likewise.
        to: node ids that may agree; ``*`` for every node that the provider then accepts by hand.
        quota: calls of one contract in a period.
        period_s: its length, seconds; periods begin at whole multiples since 1970-01-01 UTC.
        price: of a call that was answered, hundredths of ``currency``. Nothing is paid here.
        currency: ISO 4217.
        payload_bytes: of a call, and of an answer.
        timeout_s: of a call.
        until: when the offer and all contracts under it end.
    """

    offer: Identifier
    provider: NodeId
    provider_name: Name
    kind: Literal["model", "route"]
    target: Annotated[str, Meta(min_length=1, max_length=120)]
    version: Annotated[str, Meta(max_length=24)] = ""
    method: Annotated[str, Meta(pattern=r"^(GET|POST|PUT|DELETE)?\Z")] = ""
    path: Annotated[str, Meta(pattern=r"^(/[^?#\x00-\x20]{0,300})?\Z")] = ""
    title: Annotated[dict[Literal["zh", "en"], Name], Meta(max_length=2)] = {}
    text: Annotated[str, Meta(max_length=5000)] = ""
    inputs: Annotated[tuple[PortTerms, ...], Meta(max_length=64)] = ()
    outputs: Annotated[tuple[PortTerms, ...], Meta(max_length=64)] = ()
    to: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    quota: Annotated[int, Meta(ge=1, le=10**9)] = 1000
    period_s: Annotated[int, Meta(ge=1, le=31 * 86_400)] = 86_400
    price: Annotated[int, Meta(ge=0, le=10**9)] = 0
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "CNY"
    payload_bytes: Annotated[int, Meta(ge=1, le=MAX_PAYLOAD)] = 1 << 20
    timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 30.0
    until: Instant


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both parties sign: the same bytes.

    Attributes:
        id: of the contract, chosen by the consumer at random.
        terms: of the offer, whole.
        consumer: node that calls.
        consumer_name: its name.
        consumer_key: its public key; the node's id follows from it.
        provider_key: likewise.
        person: who asked for it at the consumer.
        made_at: UTC ns.
    """

    id: Identifier
    terms: Terms
    consumer: NodeId
    consumer_name: Name
    consumer_key: PublicKey
    provider_key: PublicKey
    person: Name
    made_at: Instant


class NewOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An offer to be made; members as of ``Terms``, ``until`` as RFC 3339. Ports of a model are filled in."""

    kind: Literal["model", "route"]
    target: Annotated[str, Meta(min_length=1, max_length=120)]
    version: str = ""
    method: str = ""
    path: str = ""
    title: dict[Literal["zh", "en"], Name] = {}
    text: str = ""
    to: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    quota: int = 1000
    period_s: int = 86_400
    price: int = 0
    currency: str = "CNY"
    payload_bytes: int = 1 << 20
    timeout_s: float = 30.0
    until: Annotated[str, Meta(max_length=40)]
    inputs: tuple[PortTerms, ...] = ()
    outputs: tuple[PortTerms, ...] = ()


class TermsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Terms as they are shown; ``until`` is RFC 3339."""

    offer: str
    provider: str
    provider_name: str
    kind: str
    target: str
    version: str
    method: str
    path: str
    title: dict[str, str]
    text: str
    inputs: tuple[PortTerms, ...]
    outputs: tuple[PortTerms, ...]
    to: tuple[str, ...]
    quota: int
    period_s: int
    price: int
    currency: str
    payload_bytes: int
    timeout_s: float
    until: str


class OfferDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of this node; ``state`` is standing, expired or revoked."""

    terms: TermsDocument
    digest: str
    state: str
    reason: str
    made_by: str
    made_at: str
    contracts: int


class ContractDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as this node has it.

    Attributes:
        side: what this node is.
        peer: the other node.
        used: calls that count against the quota in the running period, as this node counts.
        period_ends: when it ends.
    """

    id: str
    side: Side
    state: str
    reason: str
    peer: str
    peer_name: str
    url: str
    terms: TermsDocument
    digest: str
    made_by: str
    made_at: str
    changed_at: str
    used: int
    period_ends: str


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an offer or a contract ends, or is refused."""

    reason: Reason


class Looking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where another node answers: ``https://host:port``; plain ``http`` only on this machine."""

    url: Annotated[str, Meta(min_length=8, max_length=300)]


class Found(msgspec.Struct, frozen=True):
    """What another node offers to this one."""

    node: str
    name: str
    key: bytes
    offers: list[TermsDocument]


class Proposing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Agree to an offer of another node. ``provider`` is the id that the caller expects there."""

    url: Annotated[str, Meta(min_length=8, max_length=300)]
    offer: Identifier
    provider: NodeId


class NewCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call under a contract.

    Attributes:
        columns: of a model: by port ``{"unit": …, "values": […]}``; units are converted, or refused before the call.
        body: of a route: any JSON.
        query: of a route.
        key: the caller's name for this call: one with the same key is made at most once.
        timeout_s: how long to wait; at most what the terms say.
    """

    columns: dict[str, "ColumnIn"] | None = None
    parameters: dict[str, float] = {}
    body: msgspec.Raw | None = None
    query: dict[str, str] = {}
    key: CallKey | None = None
    timeout_s: Annotated[float, Meta(ge=0.1, le=60)] | None = None


class ColumnIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of a port in a unit; null is a missing value."""

    values: Annotated[list[float | None], Meta(max_length=200_000)]
    unit: Annotated[str, Meta(min_length=1, max_length=60)]


class CallDone(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was answered. ``answer`` is the provider's JSON; ``repeated`` says that it was not made again."""

    id: str
    key: str
    status: int
    charged: bool
    repeated: bool
    milliseconds: float
    answer: Any


class UsageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A call as this node noted it."""

    id: str
    key: str
    at: str
    state: str
    status: int
    charged: bool
    rows: int
    milliseconds: float


class Difference(msgspec.Struct, frozen=True):
    """A call that the two sides do not have alike: what each says of it, empty when it does not have it."""

    id: str
    here: str
    there: str


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides' notes of the calls of a time compared.

    Attributes:
        here: number of calls, of charged ones, and what they come to, here.
        there: likewise at the other side.
        differences: at most 1,000.
    """

    since: str
    until: str
    here: "Sums"
    there: "Sums"
    differences: list[Difference]


class Sums(msgspec.Struct, frozen=True):
    """Calls, charged calls, and their price in hundredths."""

    calls: int
    charged: int
    amount: int
