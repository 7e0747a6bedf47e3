"""Characters that the values of GS1 Application Identifiers are made of (GS1 General Specifications, figure 7.11)."""

DIGITS = frozenset("0123456789")
CSET_39 = frozenset("#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# In the order of their values for check characters.
CSET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
CSET_64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
# Check characters: in the order of their values.
CSET_32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CSET_82 = frozenset(CSET_82)


def wrong_characters(kind: str, text: str) -> str | None:
    """Return what is wrong with the characters of a component of kind ``N``, ``X``, ``Y`` or ``Z``; None if nothing."""
    if kind == "Z":
        return _base64(text)
    allowed = {"N": DIGITS, "X": _CSET_82, "Y": CSET_39}[kind]
    wrong = next((character for character in text if character not in allowed), None)
    return None if wrong is None else f"{wrong!r} is not one of the characters it is made of"


def _base64(text: str) -> str | None:
    body = text.rstrip("=")
    padding = len(text) - len(body)
    # GS1's reference counts threes, RFC 4648 fours: a text is padded rightly by either.
    if padding > 2 or (padding and len(text) % 3 and len(text) % 4) or not body:
        return "its padding is wrong"
    wrong = next((character for character in body if character not in CSET_64), None)
    return None if wrong is None else f"{wrong!r} is not base64url"
