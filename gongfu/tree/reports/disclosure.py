"""What a table with margins gives away of its suppressed cells: exact bounds, and the cells that widen them.

Every cell of a table of whole numbers ≥ 0 is in two sums, one of its row and one of its column; a margin is a cell
with the opposite sign. A change of suppressed cells that keeps all sums is then a circulation in the graph whose
nodes are rows and columns and whose edges are the suppressed cells: how far a cell can go up or down is a maximum
flow, and whole.
"""

import heapq
from collections.abc import Callable, Iterable

UNBOUNDED = 2**62


def _free(_: int) -> int:
    return 0


class SumGraph:
    """Cells as edges between the sums that they are in.

    ``edges[e]`` is (row node, column node, sign, value): sign 1 for a cell, -1 for the margin of a row or column.
    """

    def __init__(self, nodes: int, edges: list[tuple[int, int, int, int]], suppressed: Iterable[int]) -> None:
        self._edges = edges
        self._nodes = nodes
        self.suppressed: set[int] = set()
        self._at: list[list[int]] = [[] for _ in range(nodes)]
        for edge in suppressed:
            self.suppress(edge)

    def suppress(self, edge: int) -> None:
        """Add a cell to the suppressed ones."""
        if edge not in self.suppressed:
            self.suppressed.add(edge)
            row, column, _, _ = self._edges[edge]
            self._at[row].append(edge)
            self._at[column].append(edge)

    def _room(self, edge: int, upward: bool, moved: dict[int, int]) -> int:
        """Return how far a cell can still move: it does not fall below zero, and nothing holds it up."""
        _, _, sign, value = self._edges[edge]
        grows = (sign > 0) == upward
        return UNBOUNDED if grows else value + sign * moved.get(edge, 0)

    def _path(
        self,
        start: int,
        end: int,
        without: int,
        moved: dict[int, int],
        at: list[list[int]],
        cost: Callable[[int], int],
    ) -> list[tuple[int, bool]] | None:
        """Return the cheapest way from a node to another as (edge, upward), from row to column being upward."""
        best = {start: 0}
        came: dict[int, tuple[int, int, bool]] = {}
        heap = [(0, start)]
        while heap:
            far, node = heapq.heappop(heap)
            if node == end:
                break
            if far > best[node]:
                continue
            for edge in at[node]:
                row, column, _, _ = self._edges[edge]
                upward = node == row
                other = column if upward else row
                if edge == without or self._room(edge, upward, moved) <= 0:
                    continue
                # Among equals the shortest: then the number of steps does not depend on the values.
                there = far + 1 + (0 if edge in self.suppressed else cost(edge) * self._nodes)
                if there < best.get(other, UNBOUNDED):
                    best[other] = there
                    came[other] = (node, edge, upward)
                    heapq.heappush(heap, (there, other))
        if end not in came:
            return None
        way: list[tuple[int, bool]] = []
        node = end
        while node != start:
            node, edge, upward = came[node]
            way.append((edge, upward))
        return way

    def _reach(
        self, edge: int, grows: bool, enough: int, at: list[list[int]] | None, cost: Callable[[int], int]
    ) -> tuple[int, set[int]]:
        """Return how far a cell can grow or shrink, up to ``enough``, and the edges that take part."""
        row, column, sign, _ = self._edges[edge]
        upward = grows == (sign > 0)
        start, end = (column, row) if upward else (row, column)
        moved: dict[int, int] = {}
        used: set[int] = set()
        own = UNBOUNDED if grows else self._edges[edge][3]
        reached, enough = 0, min(enough, own)
        while reached < enough:
            way = self._path(start, end, edge, moved, self._at if at is None else at, cost)
            if way is None:
                break
            step = min(enough - reached, *(self._room(e, up, moved) for e, up in way))
            for e, up in way:
                moved[e] = moved.get(e, 0) + (step if up else -step)
                used.add(e)
            reached += step
        return reached, used

    def bounds(self, edge: int) -> tuple[int, int | None]:
        """Return the least and largest value that a suppressed cell can have by all sums; None: no largest."""
        value = self._edges[edge][3]
        up = self._reach(edge, True, UNBOUNDED, None, _free)[0]
        down = self._reach(edge, False, UNBOUNDED, None, _free)[0]
        return value - down, None if up >= UNBOUNDED else value + up

    def moves(self, edge: int, width: int) -> bool:
        """Whether the values that a suppressed cell can have are ``width`` apart."""
        up = self._reach(edge, True, width, None, _free)[0]
        return up >= width or up + self._reach(edge, False, width, None, _free)[0] >= width

    def protect(self, edge: int, width: int, at: list[list[int]], cost: Callable[[int], int]) -> bool:
        """Suppress the cheapest other cells until a suppressed cell can have values that are ``width`` apart.

        ``at[node]`` are the edges that may be used: suppressed ones, and those that may be suppressed.
        Returns whether that was possible.
        """
        if self.moves(edge, width):
            return True
        reached, used = self._reach(edge, True, width, at, cost)
        for other in sorted(used):
            self.suppress(other)
        return reached >= width
