"""What a check has found: where, and why, in words for who wrote the document."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        path: JSON Pointer (RFC 6901) into the document.
        reason: why.
        remark: the published JSON schema refuses it, yet the standard's text or a vocabulary with a life of its own
            allows it: the document is accepted, and this is said.
    """

    path: str
    reason: str
    remark: bool = False


Findings = Sequence[Finding]
Check = Callable[[Any], Findings]

FINE: Findings = ()


def fault(reason: str, path: str = "") -> Findings:
    """Return one finding."""
    return (Finding(path, reason),)


def below(step: str | int, found: Findings) -> list[Finding]:
    """Return findings of a member or an element, seen from what holds it."""
    start = "/" + (str(step) if isinstance(step, int) else step.replace("~", "~0").replace("/", "~1"))
    return [Finding(start + path, reason, remark) for path, reason, remark in found]


def errors(found: Findings, *, strict: bool = False) -> list[Finding]:
    """Return what forbids a document; with ``strict``, remarks too."""
    return [finding for finding in found if strict or not finding.remark]
