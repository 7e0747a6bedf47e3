"""The table of assertion ids is complete, up to date, and names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.contract.sparkplug.assertions import NOT_APPLICABLE, OPEN, RULES, TESTED, document, read_ids, verdict_of
from tests.contract.sparkplug.test_edge_assertions import CHECKS

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "conformance" / "sparkplug.md"
IDS = ROOT.parent / "shared" / "data" / "sparkplug" / "assertion-ids.txt"
# Ids of the host application.
HOST_IDS = (
    r"tck-id-(host-|message-flow-[hp]hid|operational-behavior-host-|payloads-state-|conformance-primary-host"
    r"|operational-behavior-edge-node-termination-host-action).*"
)


def documented() -> list[str]:
    return [
        f"tck-id-{name}" for name in re.findall(r"^\| (\S+) \| ", DOCUMENT.read_text(), re.MULTILINE) if name != "id"
    ]


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_document_is_what_the_rules_say() -> None:
    assert document(documented()) == DOCUMENT.read_text()


def test_every_test_named_exists_and_every_rule_is_used() -> None:
    identifiers = documented()
    verdicts = [verdict_of(identifier) for identifier in identifiers]
    for verdict in verdicts:
        if verdict.state == TESTED:
            path, _, name = verdict.why.partition("::")
            assert name in functions(path), verdict.why
            if path.endswith("test_edge_assertions.py"):
                assert name in {check.__name__ for check in CHECKS}
        else:
            assert len(verdict.why) > 10
    used = {(verdict.state, verdict.why) for verdict in verdicts}
    assert [rule for rule in RULES if rule[1:] not in used] == []


def test_nothing_of_the_host_is_open() -> None:
    host = [identifier for identifier in documented() if re.fullmatch(HOST_IDS, identifier)]
    assert len(host) >= 40
    assert {verdict_of(identifier).state for identifier in host} <= {TESTED, NOT_APPLICABLE}
    assert sum(verdict_of(identifier).state == OPEN for identifier in documented()) <= 2


@pytest.mark.skipif(not IDS.exists(), reason="the list of assertion ids is not here (shared/data/sparkplug)")
def test_the_document_has_every_id_of_the_specification() -> None:
    assert sorted(documented()) == sorted(read_ids(IDS))
