"""Flame graph of folded stacks as a still SVG: width is CPU time, the outermost call is at the bottom."""

import re
import zlib
from collections import Counter
from html import escape

WIDTH, ROW, LEAST = 1200.0, 17, 0.8
_LINE = re.compile(r":\d+\)$")


def flame_svg(stacks: Counter[tuple[str, ...]], title: str) -> str:
    """Return the picture; calls narrower than ``LEAST`` pixels are left out."""
    total = sum(stacks.values())
    # Frames that all stacks begin with say nothing.
    plain = {tuple(_LINE.sub(")", frame) for frame in stack): 0 for stack in stacks}
    for stack, count in stacks.items():
        plain[tuple(_LINE.sub(")", frame) for frame in stack)] += count
    boxes: list[tuple[float, float, int, str, int]] = []
    depth = _lay(sorted(plain.items()), 0, 0.0, WIDTH / max(total, 1), boxes)
    height = (depth + 3) * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height}" font-family="monospace" '
        f'font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="4" y="13">{escape(title)}</text>'
    ]
    for x, width, level, name, count in boxes:
        y = height - (level + 1) * ROW
        tone = zlib.crc32(name.encode())
        color = f"hsl({12 + tone % 40} 85% {62 + tone // 64 % 14}%)"
        room = int(width / 6.7) - 1
        label = escape(name[:room]) if room > 3 else ""
        parts.append(
            f"<g><title>{escape(name)}: {100.0 * count / total:.1f} %</title>"
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{color}"/>'
            f'<text x="{x + 2:.1f}" y="{y + 12}">{label}</text></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _lay(
    stacks: list[tuple[tuple[str, ...], int]],
    level: int,
    x: float,
    scale: float,
    boxes: list[tuple[float, float, int, str, int]],
) -> int:
    """Add boxes for the frames at a level of sorted stacks; return the number of levels."""
    deepest, at = level, 0
    while at < len(stacks):
        if len(stacks[at][0]) <= level:
            x += stacks[at][1] * scale
            at += 1
            continue
        name, end, count = stacks[at][0][level], at, 0
        while end < len(stacks) and len(stacks[end][0]) > level and stacks[end][0][level] == name:
            count += stacks[end][1]
            end += 1
        if count * scale >= LEAST:
            boxes.append((x, count * scale, level, name, count))
            deepest = max(deepest, _lay(stacks[at:end], level + 1, x, scale, boxes))
        x += count * scale
        at = end
    return deepest
