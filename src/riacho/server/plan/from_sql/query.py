"""A SQL query → the relations that the DataFrame API would have made of it.

Riacho must see what a streaming query does: whether it groups, joins two streams or removes duplicates decides how it
runs. In SQL text that is hidden. This reader knows the clauses of a query (WITH, SELECT, FROM with joins and
subqueries, WHERE, GROUP BY, HAVING, UNION and its kin, ORDER BY, LIMIT) and hands expressions to `sql_expressions`.
Parts of the query that read no stream stay text. What it does not know it says: `UnknownSqlError`.

How an aggregation is made, for `SELECT w, k, sum(x) / count(*) AS mean … GROUP BY window(ts, '1 minute') AS w …`:

    project      window AS w, k, __riacho_aggregate_0 AS mean      names and order as the query has them
      aggregate  window(ts, '1 minute'), k -> sum(x) / count(1) AS __riacho_aggregate_0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import read_expression, text_expression
from riacho.server.plan.from_sql.grouping import AggregationClauses, SelectColumn, UngroupedColumnError, has_aggregate
from riacho.server.sql.pieces import Pieces, UnknownSqlError
from riacho.server.sql.select_lists import has_alias
from riacho.server.sql.tokens import closing, identifier, tokenize
from riacho.server.sql.words import JOIN_WORDS, SET_OPERATIONS, words

_SET_OPS = {
    "UNION": pb.SetOperation.SET_OP_TYPE_UNION,
    "EXCEPT": pb.SetOperation.SET_OP_TYPE_EXCEPT,
    "MINUS": pb.SetOperation.SET_OP_TYPE_EXCEPT,
    "INTERSECT": pb.SetOperation.SET_OP_TYPE_INTERSECT,
}
_JOINS: dict[str, pb.Join.JoinType.ValueType] = {
    "JOIN": pb.Join.JOIN_TYPE_INNER,
    "INNER JOIN": pb.Join.JOIN_TYPE_INNER,
    "CROSS JOIN": pb.Join.JOIN_TYPE_CROSS,
    "LEFT JOIN": pb.Join.JOIN_TYPE_LEFT_OUTER,
    "LEFT OUTER JOIN": pb.Join.JOIN_TYPE_LEFT_OUTER,
    "RIGHT JOIN": pb.Join.JOIN_TYPE_RIGHT_OUTER,
    "RIGHT OUTER JOIN": pb.Join.JOIN_TYPE_RIGHT_OUTER,
    "FULL JOIN": pb.Join.JOIN_TYPE_FULL_OUTER,
    "FULL OUTER JOIN": pb.Join.JOIN_TYPE_FULL_OUTER,
    "SEMI JOIN": pb.Join.JOIN_TYPE_LEFT_SEMI,
    "LEFT SEMI JOIN": pb.Join.JOIN_TYPE_LEFT_SEMI,
    "ANTI JOIN": pb.Join.JOIN_TYPE_LEFT_ANTI,
    "LEFT ANTI JOIN": pb.Join.JOIN_TYPE_LEFT_ANTI,
}
_GROUP_TYPES: dict[str, pb.Aggregate.GroupType.ValueType] = {
    "ROLLUP": pb.Aggregate.GROUP_TYPE_ROLLUP,
    "CUBE": pb.Aggregate.GROUP_TYPE_CUBE,
}
_TAIL = words("ORDER LIMIT OFFSET")
_NOT_KNOWN = words("LATERAL QUALIFY WINDOW CLUSTER DISTRIBUTE SORT PIVOT UNPIVOT TABLESAMPLE NATURAL")


_BEHIND_RELATIONS = words("LATERAL QUALIFY WINDOW CLUSTER DISTRIBUTE SORT TABLESAMPLE")


@dataclass(frozen=True)
class _Cte:
    """A name of a WITH clause: where its query stands, its column names, and the names its query may use."""

    start: int
    end: int
    columns: list[str]
    scope: Mapping[str, _Cte]


Scope = Mapping[str, _Cte]


def read_query(sql: str, relations: Mapping[str, pb.Relation]) -> pb.Relation:
    """The relations that `sql` means. `relations`: what stands behind names that the engine does not know, by name.

    Raises UnknownSqlError.
    """
    return _read(sql, relations, columns_only=False)


def columns_of_query(sql: str, relations: Mapping[str, pb.Relation]) -> pb.Relation:
    """Relations that have the columns of a query, of which not all are right for its rows: they are not to be run.

    So more is understood than `read_query` understands. Raises UnknownSqlError.
    """
    return _read(sql, relations, columns_only=True)


def _read(sql: str, relations: Mapping[str, pb.Relation], *, columns_only: bool) -> pb.Relation:
    known = {name.lower(): relation for name, relation in relations.items()}
    reader = _QueryReader(sql, known, columns_only=columns_only)
    return reader.query(0, reader.length, {})


class _QueryReader(Pieces):
    """Reads one text; see `read_query` and `columns_of_query`.

    The methods that read a clause read the tokens from `start` up to `end`.
    """

    def __init__(self, sql: str, relations: Mapping[str, pb.Relation], *, columns_only: bool) -> None:
        super().__init__(sql)
        self.relations = relations
        self.columns_only = columns_only

    def query(self, start: int, end: int, scope: Scope) -> pb.Relation:
        if not self._reads_known(start, end, scope):
            return pb.Relation(sql=pb.SQL(query=self._text(start, end)))
        if self._word(start) == "WITH":
            start, scope = self._with(start, scope)
        tail = self._tail(start, end)
        relation = self._set_operation(start, tail, scope)
        while tail < end:
            behind = self._tail(tail + 1, end)
            relation = self._tail_clause(relation, tail, behind)
            tail = behind
        return relation

    def _tail(self, start: int, end: int) -> int:
        """Where the next clause behind a SELECT is. A Kafka source has a column `offset`, which is no clause."""
        return next((at for at in self._outside(start, end, _TAIL) if self._is_tail(at)), end)

    def _is_tail(self, at: int) -> bool:
        return self._word(at) != "OFFSET" or self._symbol(at + 1, "(") or self._text(at + 1, at + 2).isdigit()

    def _with(self, start: int, scope: Scope) -> tuple[int, Scope]:
        """Take in WITH name [(columns)] AS (query), …; where the query starts, and the names it may use."""
        if self._word(start + 1) == "RECURSIVE":
            raise UnknownSqlError("WITH RECURSIVE")
        known = dict(scope)
        at = start
        while at == start or self._symbol(at, ","):
            name = self._name(at + 1)
            at += 2
            columns: list[str] = []
            if self._symbol(at, "("):
                columns, at = self._names(at)
            if self._word(at) != "AS" or not self._symbol(at + 1, "("):
                raise UnknownSqlError(f"what follows WITH {name}")
            behind = closing(self._tokens, at + 1)
            known[name.lower()] = _Cte(at + 2, behind, columns, dict(known))
            at = behind + 1
        return at, known

    def _set_operation(self, start: int, end: int, scope: Scope) -> pb.Relation:
        """SELECT … {UNION | EXCEPT | INTERSECT [ALL] SELECT …}, from left to right."""
        operators = list(self._outside(start, end, SET_OPERATIONS))
        if len({self._word(at) == "INTERSECT" for at in operators}) == 2:
            raise UnknownSqlError("INTERSECT combined with other set operations; put it in parentheses")
        relation = self._term(start, operators[0] if operators else end, scope)
        for at, behind in zip(operators, [*operators, end][1:], strict=True):
            quantified = self._word(at + 1) in ("ALL", "DISTINCT")
            operation = pb.SetOperation(
                left_input=relation,
                right_input=self._term(at + 1 + quantified, behind, scope),
                set_op_type=_SET_OPS[self._word(at)],
                is_all=self._word(at + 1) == "ALL",
            )
            relation = pb.Relation(set_op=operation)
        return relation

    def _term(self, start: int, end: int, scope: Scope) -> pb.Relation:
        if self._fills(start, end):
            return self.query(start + 1, end - 1, scope)
        if self._word(start) == "TABLE":
            relation, behind = self._primary(start + 1, end, scope)
            if behind == end:
                return relation
        if self._word(start) != "SELECT":
            raise UnknownSqlError(f"a query that starts with {self._word(start) or self._text(start, start + 1)}")
        return self._select(start + 1, end, scope)

    def _tail_clause(self, relation: pb.Relation, start: int, end: int) -> pb.Relation:
        match self._word(start):
            case "ORDER":
                orders = [_order(self._text(*item)) for item in self._items(start + 2, end)]
                return pb.Relation(sort=pb.Sort(input=relation, order=orders, is_global=True))
            case "LIMIT" if self._word(start + 1) == "ALL":
                return relation
            case clause:
                count = self._tokens[start + 1].text if end == start + 2 else ""
                if not count.isdigit():
                    raise UnknownSqlError(f"{clause} with anything but a number")
                if clause == "LIMIT":
                    return pb.Relation(limit=pb.Limit(input=relation, limit=int(count)))
                return pb.Relation(offset=pb.Offset(input=relation, offset=int(count)))

    def _select(self, start: int, end: int, scope: Scope) -> pb.Relation:
        for at in () if self.columns_only else self._outside(start, end, _NOT_KNOWN):
            if self._word(at) != "WINDOW" or self._word(at + 2) == "AS":  # a clause, not the function or its column
                raise UnknownSqlError(self._word(at))
        clauses = list(self._outside(start, end, words("FROM WHERE GROUP HAVING")))
        places = {self._word(at): (at, behind) for at, behind in zip(clauses, [*clauses, end][1:], strict=True)}
        if "FROM" not in places:
            raise UnknownSqlError("a SELECT without FROM")
        distinct = self._word(start) == "DISTINCT"
        start += self._word(start) in ("DISTINCT", "ALL")
        columns = [self._column(*item, scope) for item in self._items(start, places["FROM"][0])]
        relation = self._from(places["FROM"][0] + 1, self._from_end(*places["FROM"]), scope)
        if "WHERE" in places:
            relation = build.where(relation, self._expression(places["WHERE"][0] + 1, places["WHERE"][1], scope))
        if "GROUP" in places or "HAVING" in places or any(column.aggregates for column in columns):
            relation = self._grouped(relation, columns, places, scope)
        else:
            relation = build.project(relation, [column.projected() for column in columns])
        return _distinct(relation) if distinct else relation

    def _column(self, start: int, end: int, scope: Scope) -> SelectColumn:
        """One item of the SELECT list."""
        tokens = self._tokens[start:end]
        if tokens and tokens[-1].is_symbol("*") and len(tokens) % 2:
            return SelectColumn(self._text(start, end), pb.Expression(), None, is_star=True)
        alias = None
        if has_alias(tokens):
            alias = self._name(end - 1)
            end -= 2 if self._word(end - 2) == "AS" else 1
        text = self._text(start, end)
        expression = self._expression(start, end, scope)
        return SelectColumn(text, expression, alias, aggregates=has_aggregate(self._tokens[start:end]))

    def _grouped(
        self, relation: pb.Relation, columns: list[SelectColumn], places: Mapping[str, tuple[int, int]], scope: Scope
    ) -> pb.Relation:
        if any(column.is_star for column in columns):
            raise UnknownSqlError("SELECT * in an aggregation")
        grouping = AggregationClauses(columns)
        try:
            if "GROUP" in places:
                self._keys(grouping, *places["GROUP"], scope)
            if "HAVING" in places:
                start, end = places["HAVING"]
                aggregates = has_aggregate(self._tokens[start + 1 : end])
                grouping.having(self._text(start + 1, end), self._expression(start + 1, end, scope), aggregates)
            return grouping.relation(relation)
        except UngroupedColumnError as error:
            raise UnknownSqlError(str(error)) from None

    def _keys(self, grouping: AggregationClauses, start: int, end: int, scope: Scope) -> None:
        start += 2  # GROUP BY
        if self._word(end - 2) == "WITH" and self._word(end - 1) in _GROUP_TYPES:
            grouping.group_type, end = _GROUP_TYPES[self._word(end - 1)], end - 2
        elif self._word(start) in _GROUP_TYPES and self._fills(start + 1, end):
            grouping.group_type, start, end = _GROUP_TYPES[self._word(start)], start + 2, end - 1
        elif self._word(start) == "ALL" and end == start + 1:
            for column in grouping.columns:
                if not column.aggregates:
                    grouping.add_key(column.text, column.expression)
            return
        elif any(self._word(at) == "GROUPING" and self._word(at + 1) == "SETS" for at in range(start, end)):
            self._grouping_sets(grouping, start, end, scope)
            return
        for item in self._items(start, end):
            self._key(grouping, *item, scope)

    def _grouping_sets(self, grouping: AggregationClauses, start: int, end: int, scope: Scope) -> None:
        """`[keys] GROUPING SETS ((keys), key, …)`."""
        at = next(i for i in range(start, end) if self._word(i) == "GROUPING" and self._word(i + 1) == "SETS")
        if not self._fills(at + 2, end):
            raise UnknownSqlError("GROUPING SETS combined with other keys")
        grouping.group_type = pb.Aggregate.GROUP_TYPE_GROUPING_SETS
        for item in self._items(start, at) if at > start else ():
            self._key(grouping, *item, scope)
        for first, behind in self._items(at + 3, end - 1):
            keys = self._items(first + 1, behind - 1) if self._fills(first, behind) else [(first, behind)]
            grouping.sets.append([self._key(grouping, *key, scope) for key in keys if key[0] < key[1]])

    def _key(self, grouping: AggregationClauses, start: int, end: int, scope: Scope) -> int:
        """Take in a grouping expression; its number."""
        if self._word(start) in words("ROLLUP CUBE GROUPING") or (
            self._fills(start, end) and len(self._items(start + 1, end - 1)) > 1
        ):
            raise UnknownSqlError("lists of keys in GROUP BY")
        return grouping.add_key(self._text(start, end), self._expression(start, end, scope))

    def _fills(self, start: int, end: int) -> bool:
        """Whether there is a pair of brackets from `start` to `end`."""
        return self._symbol(start, "(") and closing(self._tokens, start) == end - 1

    def _from_end(self, start: int, end: int) -> int:
        """Where the relations of a FROM clause end: before what only its rows depend on, if that does not matter."""
        if not self.columns_only:
            return end
        return next((at for at in self._outside(start, end, _BEHIND_RELATIONS) if self._is_behind(at)), end)

    def _is_behind(self, at: int) -> bool:
        return self._word(at) != "LATERAL" or self._word(at + 1) == "VIEW"

    def _from(self, start: int, end: int, scope: Scope) -> pb.Relation:
        """Relations joined by commas and JOINs."""
        relation, at = self._primary(start, end, scope)
        while at < end:
            if self._symbol(at, ","):
                how, at = pb.Join.JOIN_TYPE_INNER, at + 1
            else:
                how, at = self._join_type(at, end)
            right, at = self._primary(at, end, scope)
            join = pb.Join(left=relation, right=right, join_type=how)
            if self._word(at) == "USING" and self._symbol(at + 1, "("):
                names, at = self._names(at + 1)
                join.using_columns.extend(names)
            elif self._word(at) == "ON":
                behind = next(self._outside(at + 1, end, JOIN_WORDS, calls=False), end)
                comma = next((i for i in self._outside(at + 1, behind, None) if self._symbol(i, ",")), behind)
                join.join_condition.CopyFrom(self._expression(at + 1, comma, scope))
                at = comma
            relation = pb.Relation(join=join)
        return relation

    def _join_type(self, at: int, end: int) -> tuple[pb.Join.JoinType.ValueType, int]:
        first = at
        while at < end and self._word(at) in JOIN_WORDS:
            at += 1
            if self._word(at - 1) == "JOIN":
                break
        how = _JOINS.get(" ".join(self._word(i) for i in range(first, at)))
        if how is None:
            raise UnknownSqlError(f"{self._text(first, max(at, first + 1))!r} in FROM")
        return how, at

    def _primary(self, at: int, end: int, scope: Scope) -> tuple[pb.Relation, int]:
        """One relation with its alias, and the position behind it."""
        name = None
        at += self.columns_only and self._word(at) == "LATERAL"
        if self._symbol(at, "("):
            behind = closing(self._tokens, at)
            is_query = self._word(at + 1) in words("SELECT WITH") or self._symbol(at + 1, "(")
            read: Callable[[int, int, Scope], pb.Relation] = self.query if is_query else self._from
            relation = read(at + 1, behind, scope)
            at = behind + 1
        else:
            parts, behind = identifier(self._tokens[:end], at)
            if self.columns_only and (self._symbol(behind, "(") or self._word(at) == "VALUES"):
                return self._rows(at, end)
            if not parts or self._symbol(behind, "(") or self._word(at) in words("VALUES TABLE LATERAL"):
                raise UnknownSqlError(f"{self._text(at, max(behind, at + 1))!r} in FROM")
            relation, name = self._table(parts, self._text(at, behind), scope), parts[-1]
            at = behind
        if self._word(at) == "AS" or self._starts_alias(at, end):
            at += self._word(at) == "AS"
            name, at = self._name(at), at + 1
            if at < end and self._symbol(at, "("):
                columns, at = self._names(at)
                relation = pb.Relation(to_df=pb.ToDF(input=relation, column_names=columns))
        if name is not None:
            relation = pb.Relation(subquery_alias=pb.SubqueryAlias(input=relation, alias=name))
        return relation, at

    def _rows(self, at: int, end: int) -> tuple[pb.Relation, int]:
        """`VALUES …` or a table function with its alias, which reads no stream, and the position behind it."""
        ends = JOIN_WORDS | words("ON USING LATERAL")
        behind = next((i for i in self._outside(at + 1, end, ends, calls=False)), end)
        return pb.Relation(sql=pb.SQL(query=self._text(at, behind))), behind

    def _starts_alias(self, at: int, end: int) -> bool:
        token = self._tokens[at] if at < end else None
        return token is not None and token.name is not None and token.word not in JOIN_WORDS | words("ON USING")

    def _table(self, parts: tuple[str, ...], text: str, scope: Scope) -> pb.Relation:
        cte = scope.get(parts[0].lower()) if len(parts) == 1 else None
        if cte is not None:
            relation = self.query(cte.start, cte.end, cte.scope)
            return pb.Relation(to_df=pb.ToDF(input=relation, column_names=cte.columns)) if cte.columns else relation
        known = self.relations.get(parts[0].lower()) if len(parts) == 1 else None
        if known is not None:
            return known
        return pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=text)))

    def _expression(self, start: int, end: int, scope: Scope) -> pb.Expression:
        text = self._text(start, end)
        if any(token.word == "SELECT" for token in self._tokens[start:end]):
            if self._reads_known(start, end, scope) and not self.columns_only:
                raise UnknownSqlError("a stream inside a subquery of an expression")
            return text_expression(text)
        if any(token.word == "OVER" for token in self._tokens[start:end]):
            raise UnknownSqlError("OVER: window functions are not supported on streams")
        return read_expression(text)

    def _reads_known(self, start: int, end: int, scope: Scope) -> bool:
        """Whether the tokens mention a stream, or a name of a WITH clause outside them."""
        names = {(token.name or "").lower() for token in self._tokens[start:end]}
        return bool(names & set(self.relations)) or bool(names & set(scope))


def _distinct(relation: pb.Relation) -> pb.Relation:
    """SELECT DISTINCT: a grouping by all columns. See `rules.all_keys` for those that are not listed."""
    if relation.HasField("project") and not any(e.HasField("unresolved_star") for e in relation.project.expressions):
        return build.group(relation.project.input, list(relation.project.expressions), [])
    return build.group(relation, [build.star()], [])


def _order(text: str) -> pb.Expression.SortOrder:
    """`expression [ASC | DESC] [NULLS FIRST | LAST]`."""
    tokens = tokenize(text)
    nulls = tokens[-1].word if len(tokens) > 2 and tokens[-2].word == "NULLS" else ""
    tokens = tokens[:-2] if nulls else tokens
    descending = tokens[-1].word == "DESC"
    tokens = tokens[:-1] if tokens[-1].word in ("ASC", "DESC") else tokens
    order = pb.Expression.SortOrder
    nulls_last = nulls == "LAST" or (descending and not nulls)
    return order(
        child=read_expression(text[: tokens[-1].end]),
        direction=order.SORT_DIRECTION_DESCENDING if descending else order.SORT_DIRECTION_ASCENDING,
        null_ordering=order.SORT_NULLS_LAST if nulls_last else order.SORT_NULLS_FIRST,
    )
