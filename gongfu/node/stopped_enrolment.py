"""Founding and joining for a node that is stopped: on its data directory and records, without any role."""

from typing import Any

import msgspec

import gongfu
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.tree.nodes.documents import enrolled_doc
from gongfu.tree.nodes.enrolment import found, join
from gongfu.tree.nodes.key_files import KeyFiles
from gongfu.tree.nodes.requests import Founding, Joining

# Whoever may write the data directory.
OPERATOR = Subject(0, "command line", NODE_TENANT, Role.ADMIN)


def enrol_stopped(verb: str, body: dict[str, Any], records_url: str, directory: DataDirectory, clock: Clock) -> Any:
    """Return the document of the node that was founded or has joined. The data directory must be locked.

    Args:
        verb: ``found`` or ``join``.
        body: as of the API.
        records_url: of the node; migrated here.
        directory: of the node.
        clock: own time.

    Raises:
        Problem: as ``enrolment.found`` and ``enrolment.join``.
        msgspec.ValidationError: the body is not valid.
        OSError: a file cannot be written.
    """
    files, now = KeyFiles(directory.tree_keys), clock.now_ns()
    engine = open_records(records_url)
    try:
        migrate(engine)
        if verb == "found":
            identity = found(engine, files, msgspec.convert(body, Founding), now, OPERATOR)
        else:
            identity = join(engine, files, msgspec.convert(body, Joining), now, OPERATOR)
    finally:
        engine.dispose()
    return msgspec.to_builtins(enrolled_doc(identity, gongfu.__version__))
