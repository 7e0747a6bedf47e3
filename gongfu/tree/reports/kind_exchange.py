"""Kinds: declared at a node, and known in its whole subtree."""

import logging
from collections.abc import Callable, Iterable

import msgspec

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, conflict, invalid
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.reports import cell_records, kind_records
from gongfu.tree.reports.kind_records import Known
from gongfu.tree.reports.kinds import KindError, ReportKind, check_evolution
from gongfu.tree.reports.messages import KINDS, KindList, pack, unpack
from gongfu.tree.reports.record_kinds import RecordKind

MOST_KINDS = 200
_LIST_BYTES = 900_000

log = logging.getLogger(__name__)


class KindChange(msgspec.Struct, frozen=True):
    """What changed: kinds that are new or have another version, those whose cells do not fit any more, those gone."""

    put: tuple[Known, ...]
    emptied: frozenset[str]
    gone: tuple[str, ...] = ()


class KindExchange:
    """Takes kinds of the parent and of the node's own people, and tells the children. In memory on the event loop.

    Attributes:
        known: by name; the built-in ones included.
    """

    def __init__(
        self,
        directory: Directory,
        built_in: Iterable[ReportKind],
        counters: Counters,
        changed: Callable[[KindChange], None],
    ) -> None:
        self._directory = directory
        self._counters = counters
        self._changed = changed
        self._built_in = {kind.name: Known(kind, "", False) for kind in built_in}
        self.known: dict[str, Known] = dict(self._built_in)

    async def start(self, host: Host) -> None:
        """Read what is known."""
        self._host = host
        self.known = self._built_in | await host.read(kind_records.current)

    def cell_kind(self, name: str) -> ReportKind | None:
        """Return a kind of cells."""
        known = self.known.get(name)
        return known.kind if known is not None and isinstance(known.kind, ReportKind) else None

    def record_kind(self, name: str) -> RecordKind | None:
        """Return a kind of records."""
        known = self.known.get(name)
        return known.kind if known is not None and isinstance(known.kind, RecordKind) else None

    async def declare(self, subject: Subject, kind: ReportKind | RecordKind) -> Known:
        """Declare a kind at this node.

        Raises:
            Problem: 400, it is wrong; 409, the name is taken.
        """
        form = kind_records.CELLS if isinstance(kind, ReportKind) else kind_records.RECORD
        new = Known(kind, self._directory.node, False)
        try:
            kind_records.read_declaration(form, msgspec.json.encode(kind))
        except KindError as error:
            raise invalid(str(error), reason=str(error.reason)) from None

        def work(turn: Turn) -> bool:
            known = kind_records.current(turn.connection)
            old = known.get(kind.name)
            self._check_place(old, new, len(known))
            if old is not None and old.kind == kind:
                return False
            self._store(turn, known, KindChange((new,), frozenset()))
            turn.audit("report-kind.declare", kind.name, f"version {kind.version}", subject=subject)
            return True

        await self._host.turn(work)
        return new

    def _check_place(self, old: Known | None, new: Known, there: int) -> None:
        name = new.kind.name
        if name in self._built_in:
            raise conflict(f"{name} is built in")
        if old is None:
            if there >= MOST_KINDS:
                raise conflict(f"there are {MOST_KINDS} kinds")
            return
        if old.inherited:
            raise conflict(f"{name} was declared by {old.declared_by}, above this node")
        if old.form != new.form:
            raise conflict(f"{name} is of another form")
        if old.kind == new.kind:
            return
        if isinstance(old.kind, ReportKind) and isinstance(new.kind, ReportKind):
            try:
                check_evolution(old.kind, new.kind)
            except KindError as error:
                raise Problem(
                    409, "conflict", "Conflict with what is stored", str(error), {"reason": error.reason}
                ) from None
        elif new.kind.version <= old.kind.version:
            raise conflict(f"version {new.kind.version} is not after {old.kind.version}")

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take the kinds of the parent."""
        if peer != self._directory.parent:
            raise Refusal("not-the-parent", "kinds come from above only")
        told = unpack(body, KindList)
        known = kind_records.current(turn.connection)
        put: list[Known] = []
        names: set[str] = set()
        for declared in told.kinds[:MOST_KINDS]:
            try:
                kind = kind_records.read_declaration(declared.form, declared.document)
            except (KindError, msgspec.MsgspecError, UnicodeDecodeError):
                turn.then(lambda: self._counters.add("report_kinds_refused"))
                continue
            if kind.name in self._built_in:
                continue
            names.add(kind.name)
            new = Known(kind, declared.declared_by, True)
            if known.get(kind.name) != new:
                put.append(new)
        gone = tuple(name for name, old in known.items() if old.inherited and name not in names)
        emptied = {
            new.kind.name
            for new in put
            if new.kind.name in known and not kind_records.compatible(known[new.kind.name], new)
        }
        if put or gone:
            self._store(turn, known, KindChange(tuple(put), frozenset(emptied), gone))

    def _store(self, turn: Turn, known: dict[str, Known], change: KindChange) -> None:
        kind_records.put(turn.connection, change.put, turn.wall)
        kind_records.withdraw(turn.connection, change.gone)
        for name in change.emptied:
            cell_records.drop(turn.connection, name)
            turn.audit("report-kind.replace", name, "another declaration of the parent; its cells are dropped")
        after = {name: entry for name, entry in known.items() if name not in change.gone}
        after |= {entry.kind.name: entry for entry in change.put}
        body = self._list(after)
        for child in self._directory.children():
            try:
                turn.send(child.node, KINDS, body)
            except KeyError:
                continue

        def then() -> None:
            self.known = self._built_in | after
            self._changed(change)

        turn.then(then)

    def tell(self, turn: Turn, child: str) -> None:
        """Tell a child all kinds."""
        turn.send(child, KINDS, self._list(kind_records.current(turn.connection)))

    @staticmethod
    def _list(known: dict[str, Known]) -> bytes:
        body = pack(KindList(tuple(entry.travelling() for entry in known.values())))
        if len(body) > _LIST_BYTES:
            raise conflict("the declarations of all kinds together are too large")
        return body
