"""Where the rows of a query may be computed when the points lie on several history nodes. Pure, on parsed SQL.

Points are spread over the nodes by series; copies of records are on every node. A query is *spread* when its answer is
exactly the union of the answers of all nodes: reading, filtering and joining with records are, and so is everything
that keeps the rows of a series together (GROUP BY, PARTITION BY, DISTINCT or JOIN on ``series``). A query is
*everywhere* when it reads records only: each node gives the same answer. What is neither needs a merge
(``scatter.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from gongfu.store.history.sandbox_functions import is_aggregate
from gongfu.store.history.schema import DATABASE, POINT_TABLES

_POINT_COLUMNS = ("series", "time", "value", "quality", "ingested")
# What they give depends on which rows come before, whatever ORDER BY says.
_BY_BLOCK = frozenset({"runningdifference", "runningdifferencestartingwithfirstvalue", "neighbor",
                       "rownumberinallblocks", "rownumberinblock"})  # fmt: skip
# Kinds of joins with records that look at each row of the left side by itself, by side.
_ROW_BY_ROW = {
    "": frozenset({"", "INNER", "CROSS", "ASOF"}),
    "LEFT": frozenset({"", "OUTER", "ANY", "ASOF", "SEMI", "ANTI"}),
}
# Arguments of a SELECT that act on the rows of all nodes together.
FINISHING = ("order", "limit", "offset", "distinct")
_KNOWN_ARGUMENTS = frozenset(
    {"kind", "expressions", "from_", "joins", "laterals", "where", "group", "having", *FINISHING}
    | {"operation_modifiers", "windows", "qualify", "with_", "sample", "prewhere"}
)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the rows of a query or table lie.

    Attributes:
        sharded: over the nodes by series; otherwise the same on each.
        keys: output columns that hold the series id.
        columns: names of all output columns, None when they are not known here.
    """

    sharded: bool
    keys: frozenset[str] = frozenset()
    columns: tuple[str, ...] | None = None


EVERYWHERE = Spread(sharded=False)


def spread_of(query: exp.Expr) -> Spread | None:
    """Return how the rows of a query lie, or None when the nodes cannot compute it one by one."""
    if isinstance(query, exp.Subquery):
        extra = {name for name, value in query.args.items() if value and name not in ("this", "alias")}
        return None if extra else spread_of(query.this)
    if isinstance(query, exp.SetOperation):
        return _spread_of_union(query)
    if isinstance(query, exp.Select):
        return _spread_of_select(query)
    return None


def _spread_of_union(query: exp.SetOperation) -> Spread | None:
    left, right = spread_of(query.this), spread_of(query.expression)
    if left is None or right is None:
        return None
    if not left.sharded and not right.sharded:
        return EVERYWHERE
    finishing = any(query.args.get(name) for name in ("order", "limit", "offset", "by_name"))
    whole = isinstance(query, exp.Union) and query.args.get("distinct") is False
    if not (left.sharded and right.sharded and whole) or finishing:
        return None
    # Only positions count in a union; without them no column is known to be the series in both.
    if left.columns is None or left.columns != right.columns:
        return Spread(sharded=True, columns=left.columns)
    return Spread(sharded=True, keys=left.keys & right.keys, columns=left.columns)


def _spread_of_select(select: exp.Select) -> Spread | None:
    if any(value and name not in _KNOWN_ARGUMENTS for name, value in select.args.items()):
        return None
    sources = Sources(select)
    if sources.spread is None:
        return None
    inner = [spread_of(query) for query in own_queries(select)]
    if any(one is None or one.sharded for one in inner):
        return None
    if not sources.spread.sharded:
        return EVERYWHERE
    for name in ("limit", "offset", "qualify", "windows", "with_"):
        if select.args.get(name):
            return None
    order = select.args.get("order")
    if order is not None and any(one.args.get("with_fill") for one in order.expressions):
        return None
    outputs = _outputs(select, sources)
    keys = frozenset(name for name, is_key in outputs or () if is_key and name)
    distinct = select.args.get("distinct")
    if distinct is not None and (distinct.args.get("on") or not keys):
        return None
    for node in own_nodes(select):
        if isinstance(node, exp.Window) and not any(sources.is_key(one) for one in node.args.get("partition_by") or ()):
            return None
        if isinstance(node, exp.Func) and function_name(node) in _BY_BLOCK:
            return None
    if is_aggregated(select) and not _grouped_by_series(select, sources):
        return None
    columns = None if outputs is None else tuple(name for name, _ in outputs)
    return Spread(True, keys, None if columns is None or "" in columns else columns)


def _grouped_by_series(select: exp.Select, sources: "Sources") -> bool:
    group = select.args.get("group")
    if group is None or any(value for name, value in group.args.items() if name != "expressions"):
        return False
    return any(sources.is_key(one) for one in group.expressions)


def _outputs(select: exp.Select, sources: "Sources") -> list[tuple[str, bool]] | None:
    """Return name and whether it is the series for each output column; a name that only the engine knows is empty."""
    outputs: list[tuple[str, bool]] = []
    for projection in select.expressions:
        if isinstance(projection, exp.Star):
            if sources.spread is None or sources.spread.columns is None or projection.args.get("except_"):
                return None
            outputs += [(name, name in sources.spread.keys) for name in sources.spread.columns]
        elif isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star):
            return None
        else:
            held = projection.this if isinstance(projection, exp.Alias) else projection
            named = isinstance(projection, exp.Alias | exp.Column)
            outputs.append((projection.alias_or_name if named else "", sources.is_source_key(held)))
    return outputs


class Sources:
    """FROM and JOIN of a SELECT, taken together.

    Attributes:
        spread: how their joined rows lie, None when the nodes cannot join them one by one.
    """

    def __init__(self, select: exp.Select) -> None:
        self._aliases = aliases(select)
        self._keys: dict[str, frozenset[str]] = {}
        self._first = ""
        self.spread = self._joined(select)

    def is_key(self, node: exp.Expr) -> bool:
        """Return whether an expression of the SELECT is the series id; a name is first an alias, as in the engine."""
        if isinstance(node, exp.Column) and not node.table and node.name in self._aliases:
            return self.is_source_key(self._aliases[node.name])
        return self.is_source_key(node)

    def is_source_key(self, node: exp.Expr) -> bool:
        """Return whether an expression is a source's column of the series id."""
        if not isinstance(node, exp.Column):
            return False
        if node.table:
            return node.name in self._keys.get(node.table, frozenset())
        # Without a table the engine takes the leftmost source that has the name.
        return node.name in self._keys.get(self._first, frozenset())

    def _joined(self, select: exp.Select) -> Spread | None:
        start = select.args.get("from_")
        if start is None:
            return EVERYWHERE
        whole = _spread_of_source(start.this)
        if whole is None:
            return None
        self._first = start.this.alias_or_name
        if whole.sharded:
            self._keys[self._first] = whole.keys
        joins: list[exp.Join] = select.args.get("joins") or []
        for join in joins:
            if str(join.args.get("kind") or "").upper() == "ARRAY":
                continue
            joined = self._join(whole, join)
            if joined is None:
                return None
            whole = joined
        if select.args.get("laterals"):
            return None if whole.sharded else EVERYWHERE
        only = not joins
        return Spread(whole.sharded, whole.keys if only else frozenset(), whole.columns if only else None)

    def _join(self, left: Spread, join: exp.Join) -> Spread | None:
        right = _spread_of_source(join.this)
        if right is None:
            return None
        side = str(join.args.get("side") or "").upper()
        kind = str(join.args.get("kind") or "").upper()
        name = join.this.alias_or_name
        if left.sharded and right.sharded:
            # The rows of a series meet on their node. A side without a match has series 0 on every node: no key.
            together = side in ("", "LEFT") and self._on_series(join, right.keys, name)
            self._keys[name] = right.keys if side == "" else frozenset()
            return Spread(sharded=True) if together else None
        if left.sharded:
            return Spread(sharded=True) if kind in _ROW_BY_ROW.get(side, ()) else None
        if right.sharded:
            self._keys[name] = right.keys
            return Spread(sharded=True) if side == "" and kind in ("", "INNER", "CROSS") else None
        return EVERYWHERE

    def _on_series(self, join: exp.Join, right: frozenset[str], name: str) -> bool:
        using = {str(one.name) for one in join.args.get("using") or ()}
        if any(column in right and self.is_source_key(exp.column(column)) for column in using):
            return True
        condition = join.args.get("on")
        terms = list(condition.flatten()) if isinstance(condition, exp.And) else [condition]
        for term in terms:
            if not isinstance(term, exp.EQ):
                continue
            for one, other in ((term.this, term.expression), (term.expression, term.this)):
                mine = isinstance(other, exp.Column) and other.table == name and other.name in right
                if mine and isinstance(one, exp.Column) and one.table != name and one.table and self.is_source_key(one):
                    return True
        return False


def _spread_of_source(source: exp.Expr) -> Spread | None:
    if isinstance(source, exp.Table):
        if source.db == DATABASE and source.name in POINT_TABLES:
            return Spread(sharded=True, keys=frozenset({"series"}), columns=_POINT_COLUMNS)
        return EVERYWHERE
    if isinstance(source, exp.Final):
        return _spread_of_source(source.this)
    if isinstance(source, exp.Subquery):
        alias = source.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            return None
        return spread_of(source.this)
    return None


def aliases(select: exp.Select) -> dict[str, exp.Expr]:
    """Return the expressions of a SELECT that have an alias."""
    return {one.alias: one.this for one in select.expressions if isinstance(one, exp.Alias)}


def own_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield the nodes of a SELECT, without its sources and without what is inside nested queries."""
    for name, value in select.args.items():
        if name == "from_":
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, exp.Join) and str(one.args.get("kind") or "").upper() != "ARRAY":
                held = one.args.get("on")
                if held is not None:
                    yield from _pruned(held)
            elif isinstance(one, exp.Expr):
                yield from _pruned(one)


def _pruned(node: exp.Expr) -> Iterator[exp.Expr]:
    yield from node.walk(prune=lambda one: isinstance(one, exp.Query))


def own_queries(select: exp.Select) -> list[exp.Expr]:
    """Return the queries nested in the expressions of a SELECT: after IN, in EXISTS, or for one value."""
    return [node for node in own_nodes(select) if isinstance(node, exp.Query)]


def function_name(node: exp.Func) -> str:
    """Return the name of a function in lower case, as ClickHouse knows it."""
    text = node.sql(dialect="clickhouse", comments=False)
    return text.partition("(")[0].strip().lower()


def is_aggregate_call(node: exp.Expr) -> bool:
    """Return whether a node is the call of an aggregate function over the rows of its SELECT."""
    if not isinstance(node, exp.Func) or isinstance(node.parent, exp.Window):
        return False
    return is_aggregate(function_name(node))


def is_aggregated(select: exp.Select) -> bool:
    """Return whether a SELECT groups its rows."""
    if select.args.get("group") is not None or select.args.get("having") is not None:
        return True
    return any(is_aggregate_call(node) for node in own_nodes(select))
