"""A release as one line of text, which an operator carries to the node that goes."""

import base64
import binascii

import msgspec

from gongfu.tree.membership.documents import pack, unpack
from gongfu.tree.membership.keys import Signed
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.nodes.requests import RELEASE_TEXT_LIMIT

_HEAD = "gfr1."


class ReleasePaper(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the text holds: the release, and the grant of a kept prefix when there is one."""

    release: Signed
    grant: Signed | None


def encode_release(paper: ReleasePaper) -> str:
    """Return the text."""
    return _HEAD + base64.urlsafe_b64encode(pack(paper)).decode().rstrip("=")


def decode_release(text: str) -> ReleasePaper:
    """Return what a text holds; nothing is verified.

    Raises:
        Refused: ``release-malformed``.
    """
    body = text.strip()
    if not body.startswith(_HEAD) or len(body) > RELEASE_TEXT_LIMIT:
        raise Refused(Reason.RELEASE_MALFORMED, "not of the form gfr1.…")
    encoded = body[len(_HEAD) :]
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reason.RELEASE_MALFORMED, "a character is wrong or missing") from None
    return unpack(data, ReleasePaper, Reason.RELEASE_MALFORMED, RELEASE_TEXT_LIMIT)
