"""OIDs as names in the DNS, and what is answered of them (ITU-T X.672, the OID resolution system).

``/2/999/7`` is ``7.999.2.<zone>``; clients put a label ``ors-dummy`` before it, so that an alias of a whole domain
(DNAME) covers the node itself too. The identifiers of a node are registered at a prefix that stands for one OID: below
``2.999`` at ``99.1000.1`` the OID ``2.999.7.1`` is the handle ``99.1000.1/7.1``, and ``2.999`` is ``0.NA/99.1000.1``.
"""

from collections.abc import Mapping, Sequence

from gongfu.identify.dns.names import PART, Part
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName

DUMMY = b"ors-dummy"
# An arc is any whole number; more digits than this are nobody's.
_ARC_DIGITS = 39


def oid_of(labels: Sequence[bytes]) -> str | None:
    """Return the OID that labels (without the zone's) name, with dots; "" is the root, None is none."""
    meant = labels[1:] if labels and labels[0].lower() == DUMMY else labels
    arcs = [label.decode("latin-1") for label in reversed(meant)]
    if not all(_is_arc(arc) for arc in arcs):
        return None
    if arcs and arcs[0] not in ("0", "1", "2"):
        return None
    if len(arcs) > 1 and arcs[0] != "2" and int(arcs[1]) > 39:
        return None
    return ".".join(arcs)


def _is_arc(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _ARC_DIGITS and (text == "0" or text[0] != "0")


def handle_of_oid(oid: str, prefixes: Mapping[str, str]) -> HandleName | Part | None:
    """Return the handle of an OID; ``PART`` where only some below it may have one; None where none can.

    Args:
        oid: with dots.
        prefixes: prefix by the OID that it stands for; the longest that fits counts.
    """
    arcs = oid.split(".") if oid else []
    for size in range(len(arcs), 0, -1):
        prefix = prefixes.get(".".join(arcs[:size]))
        if prefix is not None:
            rest = ".".join(arcs[size:])
            return HandleName(prefix, rest) if rest else HandleName(NAMING_AUTHORITY, prefix)
    below = f"{oid}." if oid else ""
    return PART if any(other.startswith(below) for other in prefixes) else None
