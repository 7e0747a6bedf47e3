"""Why a package, or the source of one, is refused."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a package is refused; stable, for programs. ``PackageError.detail`` says the rest to people."""

    # The file.
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    NOT_AN_ARCHIVE = "not-an-archive"
    TOO_MANY_FILES = "too-many-files"
    COMPRESSED = "compressed"
    ENCRYPTED = "encrypted"
    LINK = "link"
    NOT_CANONICAL = "not-canonical"
    # The names in it.
    NAME_INVALID = "name-invalid"
    NAME_TWICE = "name-twice"
    # What belongs into every package.
    MANIFEST_MISSING = "manifest-missing"
    SUMS_MISSING = "sums-missing"
    SUMS_MALFORMED = "sums-malformed"
    FILE_CHANGED = "file-changed"
    FILE_UNLISTED = "file-unlisted"
    FILE_MISSING = "file-missing"
    PROVENANCE_MALFORMED = "provenance-malformed"
    # Who signed it.
    UNSIGNED = "unsigned"
    SIGNATURE_MALFORMED = "signature-malformed"
    SIGNATURE_WRONG = "signature-wrong"
    KEY_UNKNOWN = "key-unknown"
    KEY_REVOKED = "key-revoked"


class PackageError(Exception):
    """A package, or what should become one, is refused.

    Attributes:
        reason: why.
        detail: for people: which file, which number.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
