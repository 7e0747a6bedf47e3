"""What the wizard proposes."""

from typing import Any

import msgspec

from gongfu.connect.kit.types import Address


class ProposedPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point that could be made.

    Attributes:
        address: what would be configured.
        include: whether it is to be made.
        value: what was read, before scaling.
        quality: ``good``, ``uncertain`` or ``bad``.
        description: the machine's own.
        hint: what looks wrong with it, and what to do.
    """

    address: Address
    include: bool = True
    value: Any = None
    quality: str = "good"
    description: str = ""
    hint: str = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``:apply`` makes, as it is or changed by a person.

    Attributes:
        name: of the connection and its device.
        url, protocol, options: how the machine is reached; secrets are not among the options.
        asset: path of the asset of the connection.
        model: name of the thing model to publish of the points, "" makes none.
        points: in the order in which the machine shows them.
        warnings: what else a person should know.
        recording: NDJSON of the readings, when it was asked for.
    """

    name: str
    url: str
    protocol: str
    asset: str
    model: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    points: list[ProposedPoint] = msgspec.field(default_factory=list[ProposedPoint])
    warnings: list[str] = msgspec.field(default_factory=list[str])
    recording: str = ""
