"""SQL of users: one read-only statement over the documented tables, for one tenant.

Four layers, each enough against most attacks:

1. here: the statement is parsed; only known tables, functions of an allow-list and reading clauses pass; what runs is
   generated anew from the parsed tree, so comments and odd spellings do not reach the engine;
2. here: each table becomes a sub-query that reads only series of the tenant;
3. in the engine: row filters on the stored tables (``row_filters``), which no statement can lift;
4. in the engine: ``readonly = 1``, an empty default database, limits of time, rows and memory.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from gongfu.kernel.errors import Problem, invalid
from gongfu.store.history.engine import quote
from gongfu.store.history.sandbox_functions import TABLE_FUNCTIONS, WORDS, is_allowed
from gongfu.store.history.schema import DATABASE
from gongfu.store.history.sql_tables import SqlTable

MAX_LENGTH = 20_000
MAX_NODES = 5_000

POINT_TABLES: Mapping[str, str] = {
    "points": "point_double",
    "points_int64": "point_int64",
    "points_boolean": "point_boolean",
    "points_text": "point_text",
}
_NAMES = frozenset({"asset", "point", "unit"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNSAFE = re.compile(r"[\x00-\x1f`\"\\]")

# Clauses and statements that do more than read, or reach beyond the documented tables.
_REFUSED: dict[type[exp.Expr], str] = {
    exp.Command: "only SELECT statements run here",
    exp.DDL: "only SELECT statements run here",
    exp.Insert: "only SELECT statements run here",
    exp.Update: "only SELECT statements run here",
    exp.Delete: "only SELECT statements run here",
    exp.Placeholder: "parameters are not offered",
    exp.Parameter: "parameters are not offered",
    exp.SessionParameter: "parameters are not offered",
    exp.Into: "INTO is not offered",
    exp.Lock: "locks are not offered",
    exp.PreWhere: "use WHERE instead of PREWHERE",
    exp.TableSample: "SAMPLE is not offered",
    exp.Apply: "APPLY is not offered",
    exp.Columns: "COLUMNS is not offered",
    exp.Hint: "hints are not offered",
    exp.Pivot: "PIVOT is not offered",
    exp.Values: "VALUES is not offered",
    exp.RawString: "write strings in single quotes",
    exp.Kill: "only SELECT statements run here",
    exp.Property: "properties are not offered",
}

# Warns on standard error of statements it does not know; we refuse them.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A statement that may run.

    Attributes:
        sql: the statement.
        tables: public names of the record tables it needs, ``series`` among them when it reads points.
        row_filters: conditions by stored table that the engine must put on every read.
    """

    sql: str
    tables: frozenset[str]
    row_filters: dict[str, str]


class _Generator(ClickHouse.Generator):
    """Writes strings in our own quoting: what the parser understood is what the engine reads."""

    def literal_sql(self, expression: exp.Literal) -> str:
        return quote(str(expression.this)) if expression.is_string else str(expression.this)


def refused(detail: str) -> Problem:
    """Return the problem for a statement that the sandbox does not run (400)."""
    return invalid(f"SQL: {detail}")


def generate(tree: exp.Expr) -> str:
    """Return the text of a parsed statement or expression, with strings in our own quoting."""
    return _Generator(dialect="clickhouse", comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE).generate(tree)


def rewrite(query: str, tenant: int, records: Mapping[str, SqlTable]) -> Rewritten:
    """Return the statement that answers a user's query for a tenant.

    Args:
        query: SQL in ClickHouse's dialect.
        tenant: tenant id.
        records: tables of records by public name, ``series`` among them.

    Raises:
        Problem: 400, with the reason in words.
    """
    tree = _parse(query)
    _check_nodes(tree)
    used = _Tables(tree, tenant, records)
    tree = used.replace()
    sql = generate(tree)
    _check_calls(sql)
    mine = f"tenant = {int(tenant)}"
    filters = {f"{DATABASE}.{table.stored}": mine for table in records.values()}
    for stored in POINT_TABLES.values():
        filters[f"{DATABASE}.{stored}"] = f"series IN (SELECT series FROM {DATABASE}.series WHERE {mine})"  # noqa: S608
    return Rewritten(sql, frozenset(used.records), filters)


def _parse(query: str) -> exp.Expr:
    if not query.strip():
        raise refused("the query is empty")
    if len(query) > MAX_LENGTH:
        raise refused(f"a query has at most {MAX_LENGTH} characters")
    if "\0" in query:
        raise refused("U+0000 is not allowed")
    try:
        trees = [tree for tree in sqlglot.parse(query, dialect="clickhouse") if tree is not None]
    except SqlglotError as error:
        text = str(error).splitlines()[0]
        raise refused(re.sub(r"\x1b\[\d*m", "", text)[:300]) from None
    except RecursionError:
        raise refused("the query is nested too deeply") from None
    if len(trees) != 1:
        raise refused("exactly one statement runs at a time")
    tree = trees[0]
    inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(inner, exp.Select | exp.SetOperation):
        raise refused("only SELECT statements run here")
    return tree


def _check_nodes(tree: exp.Expr) -> None:
    for count, node in enumerate(tree.walk()):
        if count > MAX_NODES:
            raise refused("the query is too long")
        for kind, reason in _REFUSED.items():
            if isinstance(node, kind):
                raise refused(reason)
        if isinstance(node, exp.Identifier):
            _check_identifier(node)
        if isinstance(node, exp.Query):
            if node.args.get("settings") or node.args.get("format"):
                raise refused("SETTINGS and FORMAT are not offered")
            if node.args.get("into") or node.args.get("locks"):
                raise refused("INTO is not offered")
        # `x IN name` reads a table in ClickHouse.
        if isinstance(node, exp.In) and node.args.get("field") is not None:
            raise refused("write IN (SELECT ... FROM name) instead of IN name")
        if isinstance(node, exp.Group) and node.args.get("totals"):
            # The embedded engine writes the totals before the answer.
            raise refused("WITH TOTALS is not offered: use WITH ROLLUP")
        if isinstance(node, exp.DataType) and node.this is exp.DType.USERDEFINED:
            raise refused("unknown type")


def _check_identifier(node: exp.Identifier) -> None:
    name = str(node.this)
    if _UNSAFE.search(name):
        raise refused("names hold no quotes, backslashes or control characters")
    if not _PLAIN.match(name):
        node.set("quoted", True)


def _check_calls(sql: str) -> None:
    """Refuse functions that are not allowed, in the very text that the engine will read."""
    tokens = ClickHouse().tokenize(sql)
    for token, following in pairwise(tokens):
        if following.token_type is not TokenType.L_PAREN:
            continue
        name = token.text
        if token.token_type in (TokenType.STRING, TokenType.NUMBER) or not re.match(r"\w", name):
            continue
        quoted = token.token_type is TokenType.IDENTIFIER
        if not quoted and name.lower() in WORDS:
            continue
        if not is_allowed(name) and name.lower() not in TABLE_FUNCTIONS and not _is_type(name):
            raise refused(f"the function {name[:60]} is not offered")


# Types with arguments, as in CAST(x AS Decimal(9, 2)).
_TYPES = frozenset(
    {"string", "fixedstring", "decimal", "decimal32", "decimal64", "decimal128", "datetime", "datetime64", "nullable"}
    | {"array", "tuple", "map", "lowcardinality", "enum8", "enum16", "nested", "numeric", "char", "varchar"}
)


def _is_type(name: str) -> bool:
    return name.lower() in _TYPES


class _Tables:
    """Replaces each table of a statement by what a tenant may see of it."""

    def __init__(self, tree: exp.Expr, tenant: int, records: Mapping[str, SqlTable]) -> None:
        self._tree = tree
        self._tenant = int(tenant)
        self._stored = records
        self.records: set[str] = set()
        self._public = frozenset(POINT_TABLES) | frozenset(records)
        # A query that names no asset, point or unit, and no star, needs no names.
        self._named = any(_names_asset(node) for node in tree.walk())

    def replace(self) -> exp.Expr:
        """Return the tree with all tables replaced."""
        for final in list(self._tree.find_all(exp.Final)):
            # Each table is read FINAL anyway.
            final.replace(final.this)
        ctes = self._cte_names()
        for table in list(self._tree.find_all(exp.Table)):
            if isinstance(table.this, exp.Func):
                self._check_function(table)
                continue
            if isinstance(table.parent, exp.Join) and str(table.parent.args.get("kind")).upper() == "ARRAY":
                # ARRAY JOIN takes columns, never tables.
                continue
            name = self._name_of(table)
            if name in ctes:
                continue
            table.replace(self._subquery(table, name))
        return self._tree

    def _cte_names(self) -> frozenset[str]:
        names: set[str] = set()
        for cte in self._tree.find_all(exp.CTE):
            name = cte.alias
            if name.lower() in self._public:
                raise refused(f"WITH must not use the name of the table {name!r}")
            names.add(name)
        return frozenset(names)

    def _name_of(self, table: exp.Table) -> str:
        if table.args.get("db") is not None or table.args.get("catalog") is not None:
            raise refused(f"tables are named without a database: {', '.join(sorted(self._public))}")
        odd = {key for key, value in table.args.items() if value and key not in ("this", "alias", "final")}
        if odd:
            raise refused(f"not offered on tables: {', '.join(sorted(odd))}")
        return table.name

    @staticmethod
    def _check_function(table: exp.Table) -> None:
        function = table.this
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        if name.lower() not in TABLE_FUNCTIONS or table.args.get("db") is not None:
            raise refused(f"the table function {name[:60]} is not offered")

    def _subquery(self, table: exp.Table, name: str) -> exp.Subquery:
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
        if name in POINT_TABLES:
            self.records.add("series")
            sql = self._points_sql(table, POINT_TABLES[name])
        elif name in self._stored:
            self.records.add(name)
            stored = self._stored[name]
            columns = ", ".join(f"`{column}`" for column, _ in stored.columns)
            sql = f"SELECT {columns} FROM {DATABASE}.{stored.stored} WHERE tenant = {self._tenant}"  # noqa: S608
        else:
            raise refused(f"unknown table {name[:60]!r}; there are {', '.join(sorted(self._public))}")
        inner = sqlglot.parse_one(sql, dialect="clickhouse")
        return exp.Subquery(this=inner, alias=alias)

    def _points_sql(self, table: exp.Table, stored: str) -> str:
        mine = f"SELECT series FROM {DATABASE}.series WHERE tenant = {self._tenant}"  # noqa: S608
        mine += "".join(f" AND {condition}" for condition in _series_conditions(table))
        points = (
            f"SELECT series, time, value, quality, ingested FROM {DATABASE}.{stored} FINAL "  # noqa: S608
            f"WHERE series IN ({mine})"
        )
        if not self._named:
            return points
        names = f"SELECT series, asset, point, unit FROM {DATABASE}.series WHERE tenant = {self._tenant}"  # noqa: S608
        return (
            "SELECT n.asset AS asset, n.point AS point, n.unit AS unit, p.time AS time, p.value AS value, "  # noqa: S608
            "p.quality AS quality, p.ingested AS ingested, p.series AS series "
            f"FROM ({points}) AS p INNER JOIN ({names}) AS n ON n.series = p.series"
        )


def _names_asset(node: exp.Expr) -> bool:
    """Return whether a node may need the names of points: a star, one of the columns, or a join USING something."""
    if isinstance(node, exp.Star):
        return not isinstance(node.parent, exp.Count)
    if isinstance(node, exp.Join):
        return bool(node.args.get("using"))
    return isinstance(node, exp.Column) and node.name.lower() in _NAMES


def _series_conditions(table: exp.Table) -> list[str]:
    """Return conditions on asset, point, unit and series that the surrounding WHERE puts on all rows of the table.

    They are repeated where the series are chosen, so that only their parts of the key are read. Only comparisons with
    literals of a SELECT with this one table count, and none when the query gives one of the names to something else.
    """
    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select is not None else None
    if select is None or where is None or select.args.get("joins") or select.args.get("laterals"):
        return []
    source = select.args.get("from_") or select.args.get("from")
    if source is None or source.this is not table:
        return []
    usable = _NAMES | {"series"}
    if any(alias.alias.lower() in usable for alias in select.root().find_all(exp.Alias, exp.CTE)):
        return []
    own = table.alias_or_name
    conditions: list[str] = []
    for term in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        column = term.this if isinstance(term, exp.EQ | exp.In | exp.Like) else None
        if not isinstance(column, exp.Column) or column.name not in usable or column.table not in ("", own):
            continue
        values = term.expressions if isinstance(term, exp.In) else [term.expression]
        if term.args.get("query") is not None or not values:
            continue
        if not all(isinstance(value, exp.Literal) for value in values):
            continue
        texts = [quote(str(value.this)) if value.is_string else str(value.this) for value in values]
        if isinstance(term, exp.In):
            conditions.append(f"`{column.name}` IN ({', '.join(texts)})")
        else:
            conditions.append(f"`{column.name}` {'=' if isinstance(term, exp.EQ) else 'LIKE'} {texts[0]}")
    return conditions
