"""Every assertion id of Sparkplug 3.0.0 and what shows it here: a test, a reason why not, or that it is open.

    python -m tests.contract.sparkplug.assertions IDS > docs/conformance/sparkplug.md

Rules are tried in order; the first pattern that matches the whole id (without ``tck-id-``) counts.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

HOST = "tests/contract/sparkplug/test_host.py"
EDGE = "tests/contract/sparkplug/test_edge.py"
ROLE = "tests/contract/sparkplug/test_edge_assertions.py"
SESSIONS = "tests/unit/sparkplug/test_sessions.py"
VALUES = "tests/contract/telemetry/test_sparkplug.py"
STRUCTURES = "tests/contract/telemetry/test_sparkplug_structures.py"
SERVER = "tests/contract/mqtt/test_protocol.py"

LIVES = f"{HOST}::test_a_node_lives_and_dies"
STATE = f"{HOST}::test_state_of_the_host"
COMMANDS = f"{HOST}::test_commands_are_confirmed_by_the_values_that_come_back"
GAP = f"{HOST}::test_a_gap_ends_in_one_rebirth_request_and_loses_nothing_that_came"
WAITS = f"{EDGE}::test_data_waits_while_the_primary_host_is_offline"
ENDS = f"{EDGE}::test_the_edge_node_role_end_to_end"
MESSAGES = f"{EDGE}::test_messages_have_what_the_specification_asks_for"
WINDOW_ENDS = f"{SESSIONS}::test_a_gap_that_stays_ends_in_a_rebirth_request_after_the_window"
EARLY = f"{SESSIONS}::test_what_comes_too_early_waits_for_what_is_missing"
DEVICE_IDS = f"{EDGE}::test_ids_of_devices_are_one_level_and_come_back"
TABLES = f"{STRUCTURES}::test_data_sets_are_kept_as_json"

AWARE = "The MQTT server does not claim to be Sparkplug aware (no $sparkplug/certificates topics)."
IN_SERVER = (
    "The host is part of the MQTT server and has no CONNECT of its own: when it goes without a word, the server and "
    "all its connections go with it. On an orderly end, and while the block log takes no data, it publishes the death."
)
NO_TEMPLATES = (
    "For senders: the edge node role publishes no templates. The host reads the members of instances as points of "
    "their own (test_sparkplug_structures.py)."
)
ONE_HOST = "The host announces itself at one MQTT server: its own."
ONE_SERVER = "The edge node role has one server; several are reached by several roles or an address that moves."
NO_NODE_DATA = "The edge node role has no metrics of the node itself but bdSeq and Node Control, so it sends no NDATA."


def edge(check: str) -> str:
    """Return the evidence that a check of the recorded session is."""
    return f"{ROLE}::{check}"


TESTED, NOT_APPLICABLE, OPEN = "tested", "not applicable", "open"
Rule = tuple[str, str, str]

RULES: list[Rule] = [
    ("case-sensitivity-.*", TESTED, f"{EDGE}::test_names_differ_by_more_than_their_case"),
    ("conformance-mqtt-aware-.*", NOT_APPLICABLE, AWARE),
    ("conformance-mqtt-qos.", TESTED, f"{SERVER}::test_messages_at_each_qos"),
    ("conformance-mqtt-retained", TESTED, STATE),
    ("conformance-mqtt-will-messages", TESTED, LIVES),
    ("conformance-primary-host", TESTED, STATE),
    # --- host application
    ("host-topic-phid-death-(payload-connect|payload-timestamp-connect|required)", NOT_APPLICABLE, IN_SERVER),
    ("host-topic-phid-death-.*no-disconnect-packet", NOT_APPLICABLE, IN_SERVER),
    ("host-topic-phid-birth-sub-required", TESTED, LIVES),
    ("host-topic-phid-.*", TESTED, STATE),
    ("message-flow-hid-sparkplug-state-message-delivered", TESTED, STATE),
    ("message-flow-phid-sparkplug-clean-session-.*", NOT_APPLICABLE, IN_SERVER),
    ("message-flow-phid-sparkplug-subscription", TESTED, LIVES),
    ("message-flow-phid-.*", TESTED, STATE),
    ("operational-behavior-host-application-connect-will.*", NOT_APPLICABLE, IN_SERVER),
    ("operational-behavior-host-application-multi-server-timestamp", NOT_APPLICABLE, ONE_HOST),
    ("operational-behavior-host-application-.*", TESTED, STATE),
    ("operational-behavior-host-reordering-(param|start)", TESTED, WINDOW_ENDS),
    ("operational-behavior-host-reordering-success", TESTED, EARLY),
    ("operational-behavior-host-reordering-rebirth", TESTED, GAP),
    ("operational-behavior-edge-node-termination-host-action-.*", TESTED, LIVES),
    ("payloads-state-will-message.*", NOT_APPLICABLE, IN_SERVER),
    ("payloads-state-.*", TESTED, STATE),
    # --- commands
    ("operational-behavior-data-commands-rebirth-name-aliases", TESTED, edge("births")),
    ("operational-behavior-data-commands-rebirth-action-.*", TESTED, ENDS),
    ("operational-behavior-data-commands-rebirth-.*", TESTED, edge("births")),
    ("operational-behavior-data-commands-ncmd-rebirth-.*", TESTED, GAP),
    ("operational-behavior-data-commands-.*", TESTED, COMMANDS),
    ("(payloads|topics)-[nd]cmd-.*", TESTED, COMMANDS),
    ("payloads-name-cmd-requirement", TESTED, COMMANDS),
    # --- edge node: flow
    ("message-flow-edge-node-birth-publish-phid-.*", TESTED, WAITS),
    ("operational-behavior-edge-node-termination-host-offline.*", TESTED, WAITS),
    ("operational-behavior-primary-application-state-.*-(single-server|walk)", NOT_APPLICABLE, ONE_SERVER),
    ("operational-behavior-primary-application-state-.*", TESTED, WAITS),
    ("message-flow-edge-node-birth-publish-will.*", TESTED, edge("will")),
    ("message-flow-edge-node-birth-publish-connect", TESTED, edge("will")),
    ("message-flow-edge-node-birth-publish-nbirth-payload-bdSeq", TESTED, edge("birth_sequence")),
    ("message-flow-(edge-node|device)-birth-publish-.*payload-seq", TESTED, edge("sequences")),
    ("message-flow-(edge-node|device)-birth-publish-.*(qos|retained)", TESTED, edge("qos_and_retain")),
    ("message-flow-(edge-node|device)-birth-publish-.*topic", TESTED, edge("topics")),
    ("message-flow-device-birth-publish-nbirth-wait", TESTED, edge("order")),
    ("message-flow-(edge-node|device)-birth-publish-.*", TESTED, edge("births")),
    ("message-flow-(device-dcmd|edge-node-ncmd)-subscribe", TESTED, edge("subscriptions")),
    ("operational-behavior-data-publish-.*-(change|values)", TESTED, edge("change")),
    ("operational-behavior-data-publish-.*-order", TESTED, edge("order")),
    ("operational-behavior-data-publish-.*", TESTED, edge("births")),
    ("operational-behavior-device-ddeath", TESTED, MESSAGES),
    ("operational-behavior-edge-node-birth-sequence-wait", TESTED, edge("order")),
    ("operational-behavior-edge-node-intentional-disconnect-.*", TESTED, ENDS),
    # --- payloads
    ("payloads-alias-.*", TESTED, edge("aliases")),
    ("payloads-dataset-.*", TESTED, TABLES),
("payloads-template-.*", NOT_APPLICABLE, NO_TEMPLATES),
    ("topics-nbirth-templates", NOT_APPLICABLE, NO_TEMPLATES),
    ("payloads-propertyset-quality-.*", TESTED, edge("properties")),
    ("payloads-propertyset-.*", TESTED, edge("properties")),
    ("payloads-metric-propertyvalue-.*", TESTED, edge("properties")),
    ("payloads-metric-datatype-not-req", TESTED, edge("aliases")),
    ("payloads-metric-datatype-.*", TESTED, f"{VALUES}::test_every_data_type_has_its_column"),
    ("payloads-(metric-)?timestamp-in-UTC", TESTED, edge("times")),
    ("payloads-name-(birth-data-)?requirement", TESTED, edge("births")),
    ("payloads-sequence-num-.*", TESTED, edge("sequences")),
    ("(payloads|topics)-ndata-.*", NOT_APPLICABLE, NO_NODE_DATA),
    ("(payloads|topics)-ndeath-(seq|payload)", TESTED, edge("will")),
    ("payloads-ndeath-will-message-publisher-disconnect-.*", TESTED, ENDS),
    ("payloads-ndeath-will-message.*", TESTED, edge("will")),
    ("payloads-ndeath-bdseq", TESTED, edge("birth_sequence")),
    ("(payloads|topics)-ddeath-(topic|mqtt|seq.*|timestamp)", TESTED, MESSAGES),
    ("(payloads|topics)-nbirth-bdseq.*increment", TESTED, ENDS),
    ("(payloads|topics)-nbirth-bdseq.*", TESTED, edge("birth_sequence")),
    ("payloads-nbirth-edge-node-descriptor", TESTED, edge("topics")),
    ("(payloads|topics)-nbirth-rebirth.*", TESTED, edge("births")),
    ("(payloads|topics)-(nbirth|dbirth|ddata)-(qos|retain|mqtt)", TESTED, edge("qos_and_retain")),
    ("(payloads|topics)-(nbirth|dbirth|ddata)-seq.*", TESTED, edge("sequences")),
    ("(payloads|topics)-(nbirth|dbirth|ddata)-timestamp", TESTED, edge("times")),
    ("(payloads|topics)-(dbirth|ddata)-order", TESTED, edge("order")),
    ("topics-(nbirth|dbirth|ddata)-topic", TESTED, edge("topics")),
    ("topics-ndeath-topic", TESTED, edge("will")),
    ("topics-(nbirth|dbirth)-metric.*", TESTED, edge("births")),
    ("topics-ddata-payload", TESTED, edge("aliases")),
    ("topic-structure-namespace-duplicate-device-id-across-edge-node", TESTED, DEVICE_IDS),
    ("topic-structure.*", TESTED, edge("topics")),
]  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What is known of an id: ``tested``, ``not applicable`` or ``open``, and the test or the reason."""

    state: str
    why: str


def verdict_of(identifier: str) -> Verdict:
    """Return the verdict of an id; one that no rule matches is open."""
    name = identifier.removeprefix("tck-id-")
    for pattern, state, why in RULES:
        if re.fullmatch(pattern, name):
            return Verdict(state, why)
    return Verdict(OPEN, "No check yet.")


def document(identifiers: list[str]) -> str:
    """Return the table as Markdown."""
    verdicts = {identifier: verdict_of(identifier) for identifier in sorted(identifiers)}
    counts = {
        state: sum(verdict.state == state for verdict in verdicts.values()) for state in (TESTED, NOT_APPLICABLE, OPEN)
    }
    lines = [
        "# Sparkplug B 3.0.0: assertions",
        "",
        f"{len(verdicts)} assertion ids of the specification: **{counts[TESTED]} tested**, "
        f"{counts[NOT_APPLICABLE]} not applicable with a reason, {counts[OPEN]} open. Host application: the front "
        "door; edge node: the role `sparkplug-edge` ([how both work](../connect/sparkplug.md)). This is our own "
        "checker, not the official TCK.",
        "",
        "Made by `python -m tests.contract.sparkplug.assertions IDS`; `tests/contract/sparkplug/test_assertions.py` "
        "checks that it is up to date and that every test named here exists. `test_edge_assertions.py::<check>` is one "
        "check of a recorded session of the edge node.",
        "",
        "| id | state | by |",
        "|---|---|---|",
    ]
    for identifier, verdict in verdicts.items():
        why = f"`{verdict.why.removeprefix('tests/')}`" if verdict.state == TESTED else verdict.why
        lines.append(f"| {identifier.removeprefix('tck-id-')} | {verdict.state} | {why} |")
    return "\n".join(lines) + "\n"


def read_ids(path: Path) -> list[str]:
    """Return the ids of a file, one a line."""
    return path.read_text().split()


if __name__ == "__main__":
    sys.stdout.write(document(read_ids(Path(sys.argv[1]))))
