"""The shipped table against the dictionary, and what the dictionary's reader refuses."""

from importlib.resources import files
from pathlib import Path

import pytest

from gongfu.identify.digital_link.application_identifiers import (
    Table,
    identifier_at,
    primary_keys,
    same,
    table,
    write_table,
)
from gongfu.identify.digital_link.dictionary import NOTICE, read_dictionary

DICTIONARY = Path("/work/shared/data/gs1/gs1-syntax-dictionary.txt")
SHIPPED = files("gongfu.identify.digital_link") / "ai_table.json"


@pytest.mark.skipif(not DICTIONARY.exists(), reason="the GS1 dictionary is not on this machine")
def test_the_shipped_table_is_what_the_dictionary_says() -> None:
    written = write_table(Table(NOTICE, read_dictionary(DICTIONARY.read_text(encoding="utf-8"))))
    assert written == SHIPPED.read_text(encoding="utf-8")


def test_the_table_bears_its_licence() -> None:
    assert "Apache License, Version 2.0" in SHIPPED.read_text(encoding="utf-8")


def test_facts_that_everybody_knows() -> None:
    known = table()
    assert known["01"].qualifiers == (("22", "10", "21"), ("235",))
    assert known["3103"].title == "NET WEIGHT (kg)"
    assert known["3103"].fixed
    assert not known["10"].fixed
    assert known["99"].components[0].maximum == 90
    assert known["3922"].requires == ((("01", "30"), ("01", "31nn"), ("01", "32nn"), ("01", "35nn"), ("01", "36nn")),)
    assert {"00", "01", "253", "255", "401", "402", "414", "417", "8003", "8004", "8006", "8010", "8013", "8017"} <= (
        primary_keys()
    )
    assert "21" not in primary_keys()


def test_no_identifier_is_the_beginning_of_another() -> None:
    for ai in table():
        found = identifier_at(ai + "0")
        assert found is not None
        assert found.ai == ai


def test_patterns() -> None:
    assert same("31nn", "3105")
    assert not same("31nn", "3205")
    assert not same("31nn", "310")


@pytest.mark.parametrize(
    "line",
    [
        "0A N2 # x",
        "01 # nothing",
        "01 N14,nosuchlinter # x",
        "01 N14 nosuch=1 # x",
        "01 [N14 # x",
        "01 N14] # x",
        "01 Q3 # x",
        "01 N2 # x\n01 N2 # x",
    ],
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 1|AI 01"):
        read_dictionary(line)
