"""Names of files in a package: what is the same file everywhere, on every file system."""

import unicodedata
from collections.abc import Iterable

from gongfu.appkit.package.refusal import PackageError, Reason

# Of the whole name and of one part, in UTF-8: the limit of common file systems is 255.
NAME_BYTES = 400
PART_BYTES = 200
DEPTH = 16

# Names that another system takes for a device (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))})
_NEVER = frozenset('<>:"|?*\\')


def check_name(name: str) -> None:
    """Check one name: relative, parts separated by ``/``, Unicode in normal form C (UAX #15).

    Raises:
        PackageError: ``name-invalid``.
    """

    def refuse(why: str) -> PackageError:
        return PackageError(Reason.NAME_INVALID, f"{name[:200]!r}: {why}")

    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise refuse("not Unicode") from None
    if not name or size > NAME_BYTES:
        raise refuse(f"1 to {NAME_BYTES} bytes")
    if unicodedata.normalize("NFC", name) != name:
        raise refuse("not in Unicode normal form C")
    parts = name.split("/")
    if len(parts) > DEPTH:
        raise refuse(f"more than {DEPTH} folders deep")
    for part in parts:
        if part in ("", ".", ".."):
            raise refuse("an absolute name, or a part that is empty, . or ..")
        if len(part.encode()) > PART_BYTES:
            raise refuse(f"a part of more than {PART_BYTES} bytes")
        if part[-1] in " ." or part[0] == " ":
            raise refuse("a part begins with a blank, or ends with one or with a dot")
        if part.split(".")[0].lower() in _DEVICES:
            raise refuse("the name of a device")
        for character in part:
            if character in _NEVER or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
                raise refuse(f"the character {character!r}")


def check_names(names: Iterable[str]) -> None:
    """Check all names of a package: each by itself, none twice, also not in other capitals, none both file and folder.

    Raises:
        PackageError: ``name-invalid`` or ``name-twice``.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        check_name(name)
        folded = _folded(name)
        if folded in files:
            raise PackageError(Reason.NAME_TWICE, f"{files[folded]!r} and {name!r}")
        files[folded] = name
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folders.setdefault(_folded(folder), folder) != folder:
                raise PackageError(Reason.NAME_TWICE, f"folders {folders[_folded(folder)]!r} and {folder!r}")
    for folded, folder in folders.items():
        if folded in files:
            raise PackageError(Reason.NAME_TWICE, f"{folder!r} is a file and a folder")


def _folded(name: str) -> str:
    """Return what two names share that a file system without capitals takes for one (Unicode, 3.13 D146)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
