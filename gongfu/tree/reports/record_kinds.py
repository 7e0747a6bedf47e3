"""Kinds of signed records: a document of a node that its ancestors keep, up to a tier."""

import msgspec

from gongfu.tree.reports.kinds import MAX_TIER_LENGTH, KindError, KindReason, check_name


class RecordKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declaration of a kind of signed record.

    Attributes:
        name: dotted, such as ``audit.finding``.
        version: 1, 2, …
        up_to: tier of the ancestor that is the last to get it; empty for the root. When no ancestor has this tier,
            the record stays at its node.
        title: for people.
    """

    name: str
    version: int = 1
    up_to: str = ""
    title: str = ""


def check_record_kind(kind: RecordKind) -> None:
    """Check a declaration.

    Raises:
        KindError: with the reason of the first thing that is wrong.
    """
    check_name(kind.name, kind.version)
    if len(kind.up_to) > MAX_TIER_LENGTH or not kind.up_to.isprintable():
        raise KindError(KindReason.TIER, "a tier has at most 40 printable characters")
    if len(kind.title) > 200 or not kind.title.isprintable():
        raise KindError(KindReason.NAME, "a title has at most 200 printable characters")
