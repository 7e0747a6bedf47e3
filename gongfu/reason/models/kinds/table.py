"""Table models: look-ups and decisions in one document, JSON or CSV, that an engineer can write by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gongfu.reason.models.kinds.tables.decision import DecisionTable
from gongfu.reason.models.kinds.tables.document import Document, Lookup, TablePort, ordered, parse
from gongfu.reason.models.kinds.tables.lookup import LookupTable
from gongfu.reason.models.kinds.types import Computed, refused
from gongfu.reason.models.sandbox.types import Description, PortFact, Rows


def load(artifact: Path, parameters: Mapping[str, float]) -> "Tables":
    """Read a document.

    Raises:
        KindError: it is none; the detail says what and where.
    """
    if parameters:
        raise refused(f"a table has no parameters; {next(iter(parameters))!r} is given")
    return Tables(parse(artifact.read_bytes()))


class Tables:
    """A checked document; it has no state."""

    def __init__(self, document: Document) -> None:
        self._tables = [
            LookupTable(each) if isinstance(each, Lookup) else DecisionTable(each) for each in ordered(document)
        ]
        self.description = Description(
            kind="table",
            version=document.version,
            name=document.name,
            description=document.description,
            inputs=_ports(document.inputs),
            outputs=_ports(document.outputs),
            tolerance_s=document.tolerance_s,
            facts={"tables": str(len(self._tables))},
        )

    def evaluate(self, rows: Rows, keep: bool) -> Computed:
        """See kinds.types.Evaluator."""
        del keep
        known = dict(rows.columns)
        for table in self._tables:
            known |= table.evaluate(known)
        columns = {port.name: known[port.name] for port in self.description.outputs}
        return Computed(columns, [None] * len(rows.assets), {}, {})

    def states(self, assets: list[int]) -> list[bytes | None]:
        """There are none."""
        return [None] * len(assets)

    def let_go(self, but: set[int]) -> None:
        """There are none."""


def _ports(ports: Sequence[TablePort]) -> tuple[PortFact, ...]:
    return tuple(PortFact(port.name, port.unit, port.description, port.point) for port in ports)
