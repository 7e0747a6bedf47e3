r"""Globs of asset paths and point names, matched in a time that nobody can stretch: linear in the length of the name.

In asset paths ``*`` and ``?`` stay within a level and ``**`` crosses levels; in point names all of them are any
characters. ``\`` takes the next character as it is.

Most globs become an expression that never comes back: a wildcard that another one follows takes the first place that
fits, which finds the same names, for whatever a later place allows, the first one allows, too. Where wildcards of both
sorts are mixed, that takes up to the square of the length; long names are then matched by all places at once, with a
bit for each place of the glob.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from gongfu.kernel.errors import invalid

# As long as an asset path may be.
MAX_GLOB = 1000
_TOKEN = re.compile(r"\*\*|\*|\?|\\.|[^*?\\]+|\\", re.DOTALL)
_WITHIN = "[^/]"
_ANY = "."
# A name up to this takes an expression no longer than the other way.
_SHORT = 200


class Glob:
    """A glob that is ready to match.

    Attributes:
        pattern: what it was made of.
        fullmatch: returns something true when all of a name matches, otherwise None.
    """

    __slots__ = ("fullmatch", "pattern")

    def __init__(self, pattern: str, one: str) -> None:
        """Make one; ``one`` is the expression of a character that ``*`` and ``?`` stand for.

        Raises:
            Problem: 400 when it is longer than ``MAX_GLOB`` characters.
        """
        if len(pattern) > MAX_GLOB:
            raise invalid(f"a pattern has at most {MAX_GLOB:,} characters; this one has {len(pattern):,}")
        runs = _runs(pattern, one)
        self.pattern = pattern
        self.fullmatch: Callable[[str], object] = re.compile(_expression(runs), re.DOTALL).fullmatch
        if len({star for star, _ in runs[1:]}) > 1:
            self.fullmatch = _by_length(self.fullmatch, Places(pattern, one).fullmatch)


@lru_cache(maxsize=4096)
def asset_glob(pattern: str) -> Glob:
    r"""Return what asset paths must match in full: ``*`` and ``?`` stay within a level, ``**`` crosses levels and
    ``\`` takes the next character as it is.

    Raises:
        Problem: 400 when it is too long.
    """
    return Glob(pattern, _WITHIN)


@lru_cache(maxsize=4096)
def point_glob(pattern: str) -> Glob:
    """Return what point names must match in full: ``*`` any characters, ``?`` one.

    Raises:
        Problem: 400 when it is too long.
    """
    return Glob(pattern, _ANY)


def _by_length(short: Callable[[str], object], long: Callable[[str], object]) -> Callable[[str], object]:
    return lambda name: short(name) if len(name) <= _SHORT else long(name)


class Places:
    """A glob as places between its characters: bit i is set when i of them were met. One step for each character."""

    __slots__ = ("_across", "_end", "_met", "_other", "_within")

    def __init__(self, pattern: str, one: str) -> None:
        self._met: dict[str, int] = {}
        self._across = self._within = 0
        crossing = place = wild = 0
        for piece in _TOKEN.findall(pattern):
            if piece == "**" or (piece == "*" and one == _ANY):
                self._across |= 1 << place
            elif piece == "*":
                self._within |= 1 << place
            elif piece == "?":
                wild |= 1 << place
                crossing |= (1 << place) if one == _ANY else 0
                place += 1
            else:
                for character in (piece[1:] or "\\") if piece.startswith("\\") else piece:
                    self._met[character] = self._met.get(character, 0) | 1 << place
                    place += 1
        self._end = 1 << place
        for character in self._met:
            self._met[character] |= crossing if character == "/" else wild
        self._met.setdefault("/", crossing)
        self._other = wild

    def fullmatch(self, name: str) -> bool | None:
        """Return True when all of a name matches, otherwise None."""
        met, other, across = self._met, self._other, self._across
        within = across | self._within
        places = 1
        for character in name:
            stays = across if character == "/" else within
            places = (places & met.get(character, other)) << 1 | places & stays
            if not places:
                return None
        return True if places & self._end else None


def _runs(pattern: str, one: str) -> list[tuple[str, str]]:
    """Return pairs of what a star stands for and the expression of what follows it; the first has no star."""
    runs = [("", "")]
    for piece in _TOKEN.findall(pattern):
        star, text = runs[-1]
        if piece in ("*", "**"):
            runs.append((_ANY if piece == "**" else one, ""))
        elif piece == "?":
            runs[-1] = (star, text + one)
        else:
            plain = (piece[1:] or "\\") if piece.startswith("\\") else piece
            runs[-1] = (star, text + re.escape(plain))
    return runs


def _expression(runs: list[tuple[str, str]]) -> str:
    crossing = [index for index, (star, _) in enumerate(runs) if star == _ANY]
    found, within = [runs[0][1]], False
    for index, (star, text) in enumerate(runs[1:], 1):
        if star == _ANY and within:
            found.append(")")
            within = False
        if index == len(runs) - 1:
            found.append(f"{star}*{text}")
        elif star == _WITHIN:
            found.append(f"(?>{star}*?{text})")
        elif index < crossing[-1]:
            # What stands between two that cross levels: it moves on as a whole until it fits.
            found.append(f"(?>{star}*?{text}")
            within = True
        else:
            found.append(f"{star}*?{text}")
    return "".join(found)
