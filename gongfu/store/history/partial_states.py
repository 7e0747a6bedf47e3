"""Aggregates over several history nodes: partial states on each, merged on one. Pure, on parsed SQL.

``SELECT h, avg(value) AS a … GROUP BY h`` becomes on each node
``SELECT h AS __gf_k0, avgState(value) AS __gf_a0 … GROUP BY __gf_k0``, and over the rows of all nodes
``SELECT __gf_k0 AS h, avgMerge(__gf_a0) AS a … GROUP BY __gf_k0``. States are ClickHouse's own (documentation,
"Aggregate Function Combinators"). What is not surely the same is not split: the caller then brings the rows together.
"""

import re
from dataclasses import dataclass

from sqlglot import exp

from gongfu.store.history.sandbox import generate
from gongfu.store.history.spread import Sources, aliases, is_aggregate_call, own_nodes

# Functions whose state does not depend on the order of the rows. Approximate ones stay approximate.
_MERGEABLE = (
    "any argMax argMin avg avgWeighted boundingRatio corr count covarPop covarSamp entropy groupBitAnd groupBitOr "
    "groupBitXor kurtPop kurtSamp max min quantile quantileExact quantileExactHigh quantileExactLow quantiles "
    "quantilesExact skewPop skewSamp stddevPop stddevSamp sum sumCount sumWithOverflow uniq uniqCombined "
    "uniqCombined64 uniqExact uniqHLL12 varPop varSamp"
)
_CANONICAL = {name.lower(): name for name in _MERGEABLE.split()} | {
    "any_value": "any", "countdistinct": "uniqExact", "covar_pop": "covarPop", "covar_samp": "covarSamp",
    "medianexact": "quantileExact", "std": "stddevPop", "stddev": "stddevPop", "stddev_pop": "stddevPop",
    "stddev_samp": "stddevSamp", "var_pop": "varPop", "var_samp": "varSamp",
}  # fmt: skip
_COMBINED = re.compile(r"(\w+?)((?:If|OrNull|OrDefault)+)\Z")
_NEVER = (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls, exp.Lambda, exp.Window)
_MAX_ALIAS_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Split:
    """An aggregation in two steps: what each node runs, and what runs over their rows; FROM is to be set."""

    partial: exp.Select
    final: exp.Select


class _Unsure(Exception):
    """The aggregation is not split."""


def split_states(select: exp.Select, sources: Sources, names: list[str]) -> Split | None:
    """Return an aggregation in two steps, or None when it is not surely the same.

    Args:
        select: a SELECT that groups, whose sources are sharded and whose nested queries read records only.
        sources: its sources.
        names: names of the output columns.
    """
    try:
        return _Splitter(select, sources).split(names)
    except _Unsure:
        return None


class _Splitter:
    def __init__(self, select: exp.Select, sources: Sources) -> None:
        self._select = select
        self._aliases = aliases(select)
        columns = sources.spread.columns if sources.spread is not None else None
        self._keys: dict[str, str] = {}
        self._calls: dict[str, tuple[str, str, str]] = {}
        for name in ("qualify", "windows", "distinct", "laterals"):
            if select.args.get(name):
                raise _Unsure
        if any(isinstance(node, _NEVER) for node in own_nodes(select)):
            raise _Unsure
        order = select.args.get("order")
        if order is not None and any(one.args.get("with_fill") for one in order.expressions):
            raise _Unsure
        self._check_shadows(columns)

    def _check_shadows(self, columns: tuple[str, ...] | None) -> None:
        """Leave aside a SELECT where a name may mean an alias or a column."""
        for alias, held in self._aliases.items():
            if isinstance(held, exp.Column) and held.name == alias:
                continue
            if columns is not None and alias not in columns:
                continue
            for node in own_nodes(self._select):
                if not isinstance(node, exp.Column) or node.table or node.name != alias:
                    continue
                inside = node.find_ancestor(exp.Alias)
                if inside is not None and inside.alias == alias:
                    continue
                # A sort key by itself names the output column in every reading.
                if isinstance(node.parent, exp.Ordered):
                    continue
                raise _Unsure

    def split(self, names: list[str]) -> Split:
        group = self._select.args.get("group")
        if group is not None and any(value for name, value in group.args.items() if name != "expressions"):
            raise _Unsure
        for one in group.expressions if group is not None else ():
            self._add_key(one)
        final = exp.Select(expressions=[])
        for projection, name in zip(self._select.expressions, names, strict=True):
            held = projection.this if isinstance(projection, exp.Alias) else projection
            if isinstance(held, exp.Star):
                raise _Unsure
            merged = self._merged(self._resolved(held, own=projection.alias))
            final.append("expressions", exp.alias_(merged, exp.to_identifier(name, quoted=True)))
        having = self._select.args.get("having")
        if having is not None:
            final.set("having", exp.Having(this=self._merged(self._resolved(having.this))))
        order = self._select.args.get("order")
        if order is not None:
            final.set("order", exp.Order(expressions=[self._ordered(one, names) for one in order.expressions]))
        self._limit(final)
        if self._keys:
            keys = [exp.column(name) for name in self._keys.values()]
            final.set("group", exp.Group(expressions=keys))
        return Split(self._partial(), final)

    def _limit(self, final: exp.Select) -> None:
        limit = self._select.args.get("limit")
        if limit is not None and any(value for name, value in limit.args.items() if name != "expression"):
            raise _Unsure
        for name in ("limit", "offset"):
            if self._select.args.get(name) is not None:
                final.set(name, self._select.args[name].copy())

    def _add_key(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(str(node.this)) if str(node.this).isdigit() else 0
            if not 1 <= position <= len(self._select.expressions):
                raise _Unsure
            chosen = self._select.expressions[position - 1]
            node, own = (chosen.this, chosen.alias) if isinstance(chosen, exp.Alias) else (chosen, "")
        else:
            own = ""
        resolved = self._resolved(node, own=own)
        if any(is_aggregate_call(one) for one in resolved.walk()) or resolved.find(exp.Query, exp.Tuple):
            raise _Unsure
        self._keys.setdefault(generate(resolved), f"__gf_k{len(self._keys)}")

    def _resolved(self, node: exp.Expr, *, own: str = "", depth: int = 0) -> exp.Expr:
        """Return a copy in which aliases are replaced by what they stand for."""
        if depth > _MAX_ALIAS_DEPTH:
            raise _Unsure

        def replaced(one: exp.Expr) -> exp.Expr:
            if isinstance(one, exp.Column) and not one.table and one.name in self._aliases and one.name != own:
                held = self._aliases[one.name]
                if isinstance(held, exp.Column) and held.name == one.name:
                    return held.copy()
                inner = self._resolved(held, own=one.name, depth=depth + 1)
                return inner if isinstance(inner, exp.Column | exp.Func) else exp.paren(inner)
            return one

        copy = node.copy()
        root = exp.Paren(this=copy)
        for one in list(root.find_all(exp.Column)):
            changed = replaced(one)
            if changed is not one:
                one.replace(changed)
        return root.this

    def _merged(self, node: exp.Expr) -> exp.Expr:
        """Return an expression over keys and states; the argument is resolved."""
        key = self._keys.get(generate(node))
        if key is not None:
            return exp.column(key)
        if is_aggregate_call(node):
            return self._call(node)
        if isinstance(node, exp.Column | exp.Query):
            raise _Unsure
        if isinstance(node, exp.Paren):
            return exp.paren(self._merged(node.this), copy=False)
        copy = node.copy()
        for old, new in zip(list(node.iter_expressions()), list(copy.iter_expressions()), strict=True):
            new.replace(self._merged(old))
        return copy

    def _call(self, node: exp.Expr) -> exp.Expr:
        text = generate(node)
        if text not in self._calls:
            if any(one is not node and is_aggregate_call(one) for one in node.walk()) or node.find(exp.Query):
                raise _Unsure
            name, parameters, arguments = _pieces(text)
            self._calls[text] = (_canonical(node, name, arguments), parameters, _arguments(arguments))
        name, parameters, _ = self._calls[text]
        index = list(self._calls).index(text)
        return exp.var(f"{name}Merge{parameters}(__gf_a{index})")

    def _ordered(self, node: exp.Expr, names: list[str]) -> exp.Expr:
        copy = node.copy()
        held = node.this
        if isinstance(held, exp.Literal) and not held.is_string:
            return copy
        if isinstance(held, exp.Column) and not held.table and held.name in self._aliases:
            copy.set("this", exp.column(exp.to_identifier(held.name, quoted=True)))
            return copy
        if isinstance(held, exp.Column) and held.name.upper() == "ALL":
            raise _Unsure
        copy.set("this", self._merged(self._resolved(held)))
        return copy

    def _partial(self) -> exp.Select:
        partial = exp.Select(expressions=[])
        for text, name in self._keys.items():
            partial.append("expressions", exp.var(f"{text} AS {name}"))
        for index, (name, parameters, arguments) in enumerate(self._calls.values()):
            partial.append("expressions", exp.var(f"{name}State{parameters}({arguments}) AS __gf_a{index}"))
        if not partial.expressions:
            raise _Unsure
        if self._keys:
            partial.set("group", exp.Group(expressions=[exp.column(name) for name in self._keys.values()]))
        where = self._select.args.get("where")
        if where is not None:
            partial.set("where", exp.Where(this=self._resolved(where.this)))
        for name in ("from_", "joins"):
            value = self._select.args.get(name)
            if value:
                partial.set(name, [one.copy() for one in value] if isinstance(value, list) else value.copy())
        return partial


def _canonical(node: exp.Expr, name: str, arguments: str) -> str:
    if isinstance(node, exp.Count) and arguments.upper().startswith("DISTINCT "):
        return "uniqExact"
    if arguments.upper().startswith("DISTINCT "):
        raise _Unsure
    known = _CANONICAL.get(name.lower())
    if known is not None:
        return known
    combined = _COMBINED.match(name)
    base = _CANONICAL.get(combined.group(1).lower()) if combined else None
    if combined is None or base is None:
        raise _Unsure
    return base + combined.group(2)


def _arguments(arguments: str) -> str:
    if arguments.upper().startswith("DISTINCT "):
        return arguments[len("DISTINCT ") :]
    return "" if arguments.strip() == "*" else arguments


def _pieces(text: str) -> tuple[str, str, str]:
    """Return name, parameters in brackets (or nothing), and arguments of a call such as ``quantile(0.9)(value)``."""
    start = text.index("(")
    end = _closing(text, start)
    if end == len(text) - 1:
        return text[:start], "", text[start + 1 : end]
    if text[end + 1] != "(" or _closing(text, end + 1) != len(text) - 1:
        raise _Unsure
    return text[:start], text[start : end + 1], text[end + 2 : -1]


def _closing(text: str, start: int) -> int:
    depth, position, quoted = 0, start, ""
    while position < len(text):
        char = text[position]
        if quoted:
            position += char == "\\"
            quoted = "" if char == quoted else quoted
        elif char in "'`\"":
            quoted = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise _Unsure
