"""What becomes of a file that a machine and the records have, or had when they last agreed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Merge:
    """Paths by what is to be done with them.

    Attributes:
        push: to the records, in place of the digest they have, ``""`` for none.
        pull: from the records.
        drop: to be removed from the records, while they have this digest.
        erase: to be removed here.
        agreed: digests of files that are the same on both sides.
    """

    push: dict[str, str] = field(default_factory=dict[str, str])
    pull: list[str] = field(default_factory=list[str])
    drop: dict[str, str] = field(default_factory=dict[str, str])
    erase: list[str] = field(default_factory=list[str])
    agreed: dict[str, str] = field(default_factory=dict[str, str])


def merge(here: Mapping[str, str], there: Mapping[str, str], agreed: Mapping[str, str]) -> Merge:
    """Compare digests by path.

    Who has changed a file since both agreed, wins; where both have, the records do: what they have, others have read.

    Args:
        here: on this machine.
        there: in the records.
        agreed: when they were last compared.
    """
    found = Merge()
    for path in sorted({*here, *there}):
        mine, theirs, before = here.get(path), there.get(path), agreed.get(path)
        if mine == theirs:
            found.agreed[path] = mine or ""
        elif theirs == before and mine is not None:
            found.push[path] = theirs or ""
        elif theirs == before and theirs is not None:
            found.drop[path] = theirs
        elif theirs is not None:
            found.pull.append(path)
        else:
            # Removed there; whatever was changed here meanwhile belongs to something that is no more.
            found.erase.append(path)
    return found
