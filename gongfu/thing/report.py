"""Report of an import or export: what one side has and the other cannot hold, named one by one and never dropped
in silence."""

import msgspec

MAX_ENTRIES = 1000


class Omission(msgspec.Struct, frozen=True):
    """Something that was left out.

    Attributes:
        where: where it stands, as a path of names.
        what: what it is, in words.
    """

    where: str
    what: str


class Report:
    """Gathers omissions; beyond ``MAX_ENTRIES`` only their number is kept."""

    def __init__(self) -> None:
        self._entries: list[Omission] = []
        self._further = 0

    def leave_out(self, where: str, what: str) -> None:
        """Note that something is left out."""
        if len(self._entries) < MAX_ENTRIES:
            self._entries.append(Omission(where[:500], what[:500]))
        else:
            self._further += 1

    def entries(self) -> list[Omission]:
        """Return what was noted, the number of further ones last."""
        if not self._further:
            return list(self._entries)
        return [*self._entries, Omission("", f"and {self._further} more")]
