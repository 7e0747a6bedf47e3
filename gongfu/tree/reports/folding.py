"""Statements of children become folded cells, so that they need not be applied again from the beginning."""

import asyncio
from functools import partial

from gongfu.tree.host.section import Host, Turn
from gongfu.tree.reports import cell_records
from gongfu.tree.reports.cell_records import Fold
from gongfu.tree.reports.kind_ledger import KindLedger
from gongfu.tree.reports.pace import Pace
from gongfu.tree.reports.stored import pack_cells, pack_position, pack_stream

_FORGET_S = 60.0


class Folding:
    """Folds what has grown, and forgets the oldest periods. On the event loop.

    Attributes:
        books: by kind.
        unfolded: bytes of statements that are stored, by kind and child.
    """

    def __init__(self, host: Host, pace: Pace, books: dict[str, KindLedger]) -> None:
        self.books = books
        self.unfolded: dict[tuple[str, str], int] = {}
        self._host = host
        self._pace = pace
        self._forgot = asyncio.get_running_loop().time()

    def grew(self, kind: str, child: str, n: int) -> None:
        """Count bytes of a statement."""
        self.unfolded[kind, child] = self.unfolded.get((kind, child), 0) + n

    async def run(self) -> None:
        """Fold what is due; call now and then."""
        for (kind, child), n in list(self.unfolded.items()):
            if n >= self._pace.fold_bytes:
                await self.fold(kind, child)
        now = asyncio.get_running_loop().time()
        if now - self._forgot >= _FORGET_S:
            self._forgot = now
            await self._forget()

    async def fold(self, kind: str, child: str) -> None:
        """Fold the statements of a child."""
        book = self.books.get(kind)
        position = book.ledger.position(child) if book is not None else None
        had = self.unfolded.pop((kind, child), 0)
        if book is None or position is None:
            return
        touched, book.touched[child] = book.touched.get(child, set()), set()
        stream = book.streams.get(child)
        folded = Fold(
            kind,
            child,
            book.upto.get(child, 0),
            pack_position(position),
            pack_stream(stream.state) if stream is not None else b"",
            [(period, pack_cells(cells, revisions)) for period, cells, revisions in book.parts(child, touched)],
        )
        try:
            await self._host.turn(lambda turn: cell_records.fold(turn.connection, folded))
        except Exception:
            book.touched[child] |= touched
            self.grew(kind, child, had)
            raise

    async def _forget(self) -> None:
        for kind, book in list(self.books.items()):
            before = book.forget(self._pace.most_periods, self._pace.most_cells)
            if before is not None:
                await self._host.turn(partial(_forget, kind, before))


def _forget(kind: str, before: int, turn: Turn) -> None:
    cell_records.forget(turn.connection, kind, before)
