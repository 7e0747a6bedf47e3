"""Where a key stands in a TOML text; ``tomllib`` does not tell."""

import re

_HEADER = re.compile(r"\s*\[\s*(?P<name>[^\[\]#]+?)\s*\]")
_KEY = re.compile(r"""\s*(?P<name>[A-Za-z0-9_.-]+|"[^"]*"|'[^']*')\s*=""")


def line_of(text: str, section: str, key: str = "") -> int | None:
    """Return the line (from 1) of a key in a section, or of the section's header when ``key`` is empty.

    ``section`` is empty for keys before the first header. None when it is not written in the usual form.
    """
    current = ""
    header: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.match(line):
            current = match["name"].strip("\"'")
            if current == section and header is None:
                header = number
                if not key:
                    return number
        elif match := _KEY.match(line):
            name = match["name"].strip("\"'")
            if (key and current == section and name == key) or (not current and name == f"{section}.{key}"):
                return number
    return header
