"""Users' SQL over several history nodes: what each node runs, and what one of them then makes of it. Pure.

The statement comes from the sandbox (``sandbox.py``). Its parts that are spread over the nodes (``spread.py``) run on
every node, with the tenant's row filters there; their rows go to one node as external data of the query, and that node
answers the rest. In this order:

1. a query of records only runs on any one node;
2. an aggregation runs in two steps, partial states first (``partial_states.py``);
3. a spread query runs on all nodes, sorted and cut there already; the rows are merged by its ORDER BY, DISTINCT, LIMIT;
4. anything else runs on one node over the spread parts that it needs, brought together whole. The bound on the bytes of
   a partial result then refuses what would move too much; the answer is never another one than that of one node.
"""

from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from gongfu.kernel.errors import Problem
from gongfu.store.history.partial_states import split_states
from gongfu.store.history.sandbox import generate
from gongfu.store.history.spread import (
    FINISHING,
    Sources,
    is_aggregated,
    own_nodes,
    own_queries,
    spread_of,
)

PART = "gongfu_part_"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a statement is answered.

    Attributes:
        parts: statements for every node; the rows of part i become the table ``gongfu_part_<i>`` of ``final``.
        final: statement for one node; without parts, the whole answer of any one node.
    """

    parts: tuple[str, ...]
    final: str


@dataclass(slots=True)
class _Parts:
    statements: list[str] = field(default_factory=list[str])

    def add(self, query: exp.Expr) -> exp.Table:
        """Let every node run a query, and return the table of its rows."""
        self.statements.append(generate(query))
        return exp.to_table(f"{PART}{len(self.statements) - 1}")


def cannot_merge(why: str) -> Problem:
    """Return the problem for a statement that several nodes cannot answer together (422)."""
    return Problem(422, "query-not-mergeable", "The query cannot be merged from several history nodes", why)


def plan(statement: str, rows: int, names: list[str] | None = None) -> Plan:
    """Return how several nodes answer a statement of the sandbox.

    Args:
        statement: one SELECT, as the sandbox wrote it.
        rows: most rows of the answer.
        names: names of its columns as the engine gives them, for expressions without alias.

    Raises:
        Problem: 422, it cannot be merged.
    """
    tree = _without_ctes(sqlglot.parse_one(statement, dialect="clickhouse"))
    parts = _Parts()
    try:
        final = generate(_central(tree, parts, names, rows + 1))
    except RecursionError:
        raise cannot_merge("it is nested too deeply") from None
    return Plan(tuple(parts.statements), final)


def needs_names(statement: str) -> bool:
    """Return whether the answer has columns that only the engine can name: expressions without alias."""
    tree = sqlglot.parse_one(statement, dialect="clickhouse").unnest()
    while isinstance(tree, exp.SetOperation):
        tree = tree.this.unnest()
    return isinstance(tree, exp.Select) and any(
        not isinstance(one, exp.Alias | exp.Column | exp.Star) for one in tree.expressions
    )


def _without_ctes(tree: exp.Expr) -> exp.Expr:
    """Put each named query where its name stands, as the engine does."""
    for select in list(tree.find_all(exp.Query)):
        block = select.args.get("with_")
        if block is None:
            continue
        if block.args.get("recursive"):
            raise cannot_merge("WITH RECURSIVE needs one history node")
        named: dict[str, exp.Expr] = {}
        for cte in block.expressions:
            if not isinstance(cte.this, exp.Select | exp.SetOperation) or cte.args["alias"].args.get("columns"):
                raise cannot_merge("write WITH name AS (SELECT ...), or the expression where it is used")
            named[cte.alias] = _expanded(cte.this, named)
        select.set("with_", None)
        _expanded_in_place(select, named)
    return tree


def _expanded(query: exp.Expr, named: dict[str, exp.Expr]) -> exp.Expr:
    copy = query.copy()
    _expanded_in_place(copy, named)
    return copy


def _expanded_in_place(query: exp.Expr, named: dict[str, exp.Expr]) -> None:
    for table in list(query.find_all(exp.Table)):
        if not table.db and table.name in named and not table.find_ancestor(exp.With):
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
            table.replace(exp.Subquery(this=named[table.name].copy(), alias=alias.copy()))


def _central(query: exp.Expr, parts: _Parts, names: list[str] | None, cap: int | None) -> exp.Expr:
    """Return a query in the form in which one node answers it; what all nodes must run is added to the parts.

    Args:
        query: SELECT, UNION or either in brackets.
        parts: collects.
        names: names of the columns, as ``plan``.
        cap: rows that suffice of the whole answer, None for all.
    """
    spread = spread_of(query)
    if spread is not None and not spread.sharded:
        return query.copy()
    if isinstance(query, exp.Subquery):
        copy = query.copy()
        copy.set("this", _central(query.this, parts, names, None))
        return copy
    if isinstance(query, exp.SetOperation):
        if spread is not None:
            if cap is None:
                return exp.select("*").from_(parts.add(query))
            return exp.select("*").from_(parts.add(exp.select("*").from_(exp.Subquery(this=query.copy())).limit(cap)))
        copy = query.copy()
        copy.set("this", _central(query.this, parts, names, None))
        copy.set("expression", _central(query.expression, parts, None, None))
        return copy
    if not isinstance(query, exp.Select):
        raise cannot_merge("only SELECT and UNION can be merged")
    core = query.copy()
    for name in FINISHING:
        core.set(name, None)
    held = spread_of(core)
    if held is not None and held.sharded:
        finished = _finished(query, parts, cap)
        if finished is not None:
            return finished
    return _aggregated(query, parts, names) or _brought_together(query, parts)


def _finished(select: exp.Select, parts: _Parts, cap: int | None) -> exp.Expr | None:
    """Return a spread query with its ORDER BY, DISTINCT and LIMIT over all rows; None when that is not surely right."""
    limit, offset, distinct, order = (select.args.get(name) for name in ("limit", "offset", "distinct", "order"))
    if distinct is not None and distinct.args.get("on"):
        return None
    simple = limit is None or (
        _is_count(limit.expression) and not any(value for name, value in limit.args.items() if name != "expression")
    )
    if not simple or (offset is not None and not _is_count(offset.expression)):
        return None
    part = select.copy()
    hidden: list[str] = []
    keys: list[exp.Expr] = []
    outputs = {one.alias_or_name for one in select.expressions if isinstance(one, exp.Alias | exp.Column)}
    for one in order.expressions if order is not None else ():
        if one.args.get("with_fill"):
            return None
        copy, key = one.copy(), one.this
        if isinstance(key, exp.Column) and not key.table and key.name in outputs:
            copy.set("this", exp.column(exp.to_identifier(key.name, quoted=True)))
        else:
            if distinct is not None or (isinstance(key, exp.Column) and key.name.upper() == "ALL"):
                return None
            if isinstance(key, exp.Literal) and not key.is_string:
                position = int(str(key.this)) if str(key.this).isdigit() else 0
                if not 1 <= position <= len(select.expressions) or select.find(exp.Star):
                    return None
                key = select.expressions[position - 1].unalias()
            name = f"__gf_o{len(hidden)}"
            hidden.append(name)
            part.append("expressions", exp.alias_(key.copy(), name))
            copy.set("this", exp.column(name))
        keys.append(copy)
    part.set("offset", None)
    wanted = None if limit is None else int(str(limit.expression.this))
    if cap is not None:
        wanted = cap if wanted is None else min(wanted, cap)
    if wanted is not None:
        skipped = int(str(offset.expression.this)) if offset is not None else 0
        part.set("limit", exp.Limit(expression=exp.Literal.number(wanted + skipped)))
    star = exp.Star(**{"except_": [exp.to_identifier(name) for name in hidden]}) if hidden else exp.Star()
    final = exp.Select(expressions=[star]).from_(parts.add(part))
    if distinct is not None:
        final.set("distinct", exp.Distinct())
    if keys:
        final.set("order", exp.Order(expressions=keys))
    for name, value in (("limit", limit), ("offset", offset)):
        if value is not None:
            final.set(name, value.copy())
    return final


def _is_count(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdecimal()


def _aggregated(select: exp.Select, parts: _Parts, names: list[str] | None) -> exp.Expr | None:
    """Return an aggregation over partial states of all nodes, or None."""
    if not is_aggregated(select):
        return None
    sources = Sources(select)
    if sources.spread is None or not sources.spread.sharded:
        return None
    if any(inner is None or inner.sharded for inner in map(spread_of, own_queries(select))):
        return None
    titles = [one.alias_or_name or generate(one) for one in select.expressions]
    if names is not None and len(names) == len(titles):
        titles = names
    split = split_states(select, sources, titles)
    if split is None:
        return None
    return split.final.from_(parts.add(split.partial), copy=False)


def _brought_together(select: exp.Select, parts: _Parts) -> exp.Expr:
    """Return a query over its sources' rows of all nodes."""
    sources = Sources(select)
    copy = select.copy()
    start = copy.args.get("from_")
    alone = not copy.args.get("joins") and not copy.args.get("laterals")
    spread = sources.spread is not None and sources.spread.sharded
    if start is not None and alone and spread and isinstance(start.this, exp.Subquery):
        part = _needed(copy, sources).from_(start.this.copy())
        condition = _pushed(copy)
        if condition is not None:
            part.set("where", exp.Where(this=condition))
        alias = start.this.args.get("alias")
        inner = exp.select("*").from_(parts.add(part))
        start.set("this", exp.Subquery(this=inner, alias=alias.copy() if alias is not None else None))
    else:
        held = [start.this] if start is not None else []
        held += [join.this for join in copy.args.get("joins") or []]
        for source in held:
            if isinstance(source, exp.Subquery):
                source.set("this", _central(source.this, parts, None, None))
    for query in own_queries(copy):
        query.replace(_central(query, parts, None, None))
    return copy


def _needed(select: exp.Select, sources: Sources) -> exp.Select:
    """Return a SELECT of the columns of the one source that a query may name."""
    columns = sources.spread.columns if sources.spread is not None else None
    nodes = [*own_nodes(select), *(node for query in own_queries(select) for node in query.walk())]
    stars = [one for one in nodes if isinstance(one, exp.Star) and not isinstance(one.parent, exp.Count)]
    if columns is None or stars:
        return exp.select("*")
    named = {one.name for one in nodes if isinstance(one, exp.Column | exp.Identifier)}
    chosen = [name for name in columns if name in named] or [columns[0]]
    return exp.select(*(exp.column(exp.to_identifier(name, quoted=True)) for name in chosen))


def _pushed(select: exp.Select) -> exp.Expr | None:
    """Return those conditions of WHERE that each node can check."""
    where = select.args.get("where")
    if where is None:
        return None
    taken = {one.alias for one in select.expressions if isinstance(one, exp.Alias)}
    terms = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
    usable = [term for term in terms if not _depends(term, taken)]
    return exp.and_(*(term.copy() for term in usable)) if usable else None


def _depends(term: exp.Expr, taken: set[str]) -> bool:
    if term.find(exp.Query, exp.Window, exp.Lambda) is not None:
        return True
    return any(not column.table and column.name in taken for column in term.find_all(exp.Column))
