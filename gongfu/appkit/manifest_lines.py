"""Where a member of a manifest stands in its text."""

import re


def line_of(text: str, member: str) -> int:
    """Return the line a member stands in, or that of the innermost table around it that is found."""
    parts = [(name, int(index) if index else 0) for name, index in re.findall(r"([\w-]+)(?:\[(\d+)\])?", member)]
    lines = text.splitlines()
    best, start, end = 0, 0, len(lines)
    path = ""
    for name, index in parts:
        path = f"{path}.{name}" if path else name
        header = re.compile(rf"\s*\[\[?\s*{re.escape(path)}\s*\]\]?")
        tables = [number for number, line in enumerate(lines) if header.match(line)]
        if tables:
            best = start = tables[min(index, len(tables) - 1)]
            later = [n for n, line in enumerate(lines) if n > start and re.match(r"\s*\[[\w\[]", line)]
            end = later[0] if later else len(lines)
            continue
        key = re.compile(rf"(?:^|[{{,]|\s)\s*\"?{re.escape(name)}\"?\s*=")
        found = next((number for number in range(start, end) if key.search(lines[number])), None)
        if found is None:
            break
        best = start = found
    return best + 1 if parts else 0
