r"""Globs that apps give, matched in a time that an app cannot stretch: at most the square of the name's length.

They mean what they mean in rules (``gongfu.reason.rules.patterns``). There each wildcard tries all lengths, so that ten
of them on one name keep the process busy for years; here a wildcard that another one follows takes the first place that
fits and never comes back, which finds the same names: whatever a later place allows, the first one allows, too.
"""

import re
from functools import lru_cache

_TOKEN = re.compile(r"\*\*|\*|\?|\\.|[^*?\\]+|\\", re.DOTALL)
_WITHIN = "[^/]"
_ANY = "."


@lru_cache(maxsize=4096)
def asset_glob(pattern: str) -> re.Pattern[str]:
    r"""Return what asset paths must match in full: ``*`` and ``?`` stay within a level, ``**`` crosses levels and
    ``\`` takes the next character as it is."""
    return re.compile(_expression(_runs(pattern, _WITHIN)), re.DOTALL)


@lru_cache(maxsize=4096)
def point_glob(pattern: str) -> re.Pattern[str]:
    """Return what point names must match in full: ``*`` any characters, ``?`` one."""
    return re.compile(_expression(_runs(pattern, _ANY)), re.DOTALL)


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
