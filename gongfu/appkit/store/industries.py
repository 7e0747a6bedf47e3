"""Codes of industries: GB/T 4754-2017, sections (门类, a letter) and below them divisions to classes (2 to 4 digits).

The repository has no table of the classes' names, only which divisions a section has (its table of contents).
"""

import re

# First and last division of each section.
SECTIONS: dict[str, tuple[int, int]] = {
    "A": (1, 5),
    "B": (6, 12),
    "C": (13, 43),
    "D": (44, 46),
    "E": (47, 50),
    "F": (51, 52),
    "G": (53, 60),
    "H": (61, 62),
    "I": (63, 65),
    "J": (66, 69),
    "K": (70, 70),
    "L": (71, 72),
    "M": (73, 75),
    "N": (76, 79),
    "O": (80, 82),
    "P": (83, 83),
    "Q": (84, 85),
    "R": (86, 90),
    "S": (91, 96),
    "T": (97, 97),
}
_CODE = re.compile(r"([A-T]?)(\d{2,4})?", re.ASCII)


def industry_code(text: str) -> str:
    """Return a code with its section, such as ``C38`` for ``38``; "" for every industry.

    Raises:
        ValueError: there is no such section or division.
    """
    match = _CODE.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(
            f"{text[:20]!r} is not a code of GB/T 4754: a letter A to T, 2 to 4 digits, or both, such as C38"
        )
    section, digits = match[1], match[2] or ""
    if not digits:
        return section
    division = int(digits[:2])
    found = next((letter for letter, (first, last) in SECTIONS.items() if first <= division <= last), "")
    if not found or section not in ("", found):
        raise ValueError(f"GB/T 4754 has no division {digits[:2]} in section {section or 'A to T'}")
    return found + digits
