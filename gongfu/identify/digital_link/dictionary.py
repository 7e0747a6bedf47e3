"""Reads the GS1 Barcode Syntax Dictionary and writes the table that the product ships.

    python -m gongfu.identify.digital_link.dictionary gs1-syntax-dictionary.txt > ai_table.json

An entry is ``AIs [flags] specification [attributes] [# title]``; the dictionary explains itself in its head.
"""

import re
import sys
from pathlib import Path
from typing import cast

from gongfu.identify.digital_link.application_identifiers import (
    ApplicationIdentifier,
    Component,
    Kind,
    Table,
    expand,
    write_table,
)

NOTICE = (
    "Facts of the GS1 Barcode Syntax Dictionary in another form, written by gongfu.identify.digital_link.dictionary.",
    "Copyright (c) 2020-2021 BWIPP project. Copyright (c) 2020-2021 Zint Project. Copyright (c) 2021-2025 GS1 AISBL.",
    "Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0",
    'Distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.',
)

_AIS = re.compile(r"[0-9]{2,4}(-[0-9]{2,4})?\Z")
_FLAGS = re.compile(r"[!-/:-@\[-`{-~]+\Z")
_COMPONENT = re.compile(
    r"(?P<open>\[)?(?P<kind>[NXYZ])(?P<upto>\.\.)?(?P<length>[0-9]+)(?(open)\])(?P<linters>(,[a-z0-9]+)*)\Z"
)


def read_dictionary(text: str) -> tuple[ApplicationIdentifier, ...]:
    """Return the entries of a dictionary.

    Raises:
        ValueError: a line is none, with its number.
    """
    entries: list[ApplicationIdentifier] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entries.append(_entry(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    expand(entries)
    return tuple(entries)


def _entry(line: str) -> ApplicationIdentifier:
    body, _, title = line.partition("#")
    words = body.split()
    if not words or not _AIS.match(words[0]):
        raise ValueError("an Application Identifier is expected")
    ais, rest = words[0], words[1:]
    flags = rest.pop(0) if rest and _FLAGS.match(rest[0]) else ""
    components: list[Component] = []
    while rest and (match := _COMPONENT.match(rest[0])):
        components.append(_component(match))
        rest.pop(0)
    if not components:
        raise ValueError("a specification is expected")
    requires: list[tuple[tuple[str, ...], ...]] = []
    excludes: list[str] = []
    qualifiers: tuple[tuple[str, ...], ...] | None = None
    for word in rest:
        name, _, value = word.partition("=")
        if name == "req":
            requires.append(tuple(tuple(group.split("+")) for group in value.split(",")))
        elif name == "ex":
            excludes += value.split(",")
        elif name == "dlpkey":
            qualifiers = tuple(tuple(filter(None, sequence.split(","))) for sequence in value.split("|"))
        else:
            raise ValueError(f"attribute {name} is not known")
    return ApplicationIdentifier(
        ais,
        title.strip(),
        tuple(components),
        fixed="*" in flags,
        attribute="?" in flags,
        requires=tuple(requires),
        excludes=tuple(excludes),
        qualifiers=qualifiers,
    )


def _component(match: re.Match[str]) -> Component:
    length = int(match["length"])
    return Component(
        cast(Kind, match["kind"]),
        1 if match["upto"] else length,
        length,
        optional=match["open"] is not None,
        linters=tuple(filter(None, match["linters"].split(","))),
    )


def main() -> None:
    """Write the table of the dictionary that the command line names to standard output."""
    identifiers = read_dictionary(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(write_table(Table(NOTICE, identifiers)))


if __name__ == "__main__":
    main()
