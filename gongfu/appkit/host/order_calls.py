"""What the role ``tree`` asks the role ``apps``: carry out an order, look at an effect. JSON on the bus."""

from typing import Annotated

import msgspec

from gongfu.appkit.context.order_messages import SeenTold

ORDER = "order"
PROBE = "probe"


class OrderCall(msgspec.Struct, frozen=True, kw_only=True):
    """An order for an app; times UTC ns. The same key is never carried out twice. After ``seconds`` nobody waits."""

    app: str
    key: str
    order: str
    kind: str
    body: msgspec.Raw
    issued: int
    issuer: str
    attempt: int = 1
    rollback: bool = False
    seconds: float = 560.0


class OrderAnswer(msgspec.Struct, frozen=True):
    """What became of it, with words for people."""

    succeeded: bool
    detail: str = ""


class ProbeQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a probe of an app: by its name, or by the kind of order whose effect it sees.

    Attributes:
        app: identifier.
        probe: its name; empty for the one of ``kind``.
        kind: of the order whose effect is looked at; empty when somebody else asks.
        order: its id.
        body: JSON object.
        since: UTC ns, see ``Question``.
    """

    app: str
    probe: str = ""
    kind: str = ""
    order: str = ""
    body: msgspec.Raw = msgspec.Raw(b"{}")
    since: Annotated[int, msgspec.Meta(ge=0)] = 0


__all__ = ["ORDER", "PROBE", "OrderAnswer", "OrderCall", "ProbeQuestion", "SeenTold"]
