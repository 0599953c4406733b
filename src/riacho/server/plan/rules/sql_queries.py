"""SQL text over streams that needs state → the relations that it means.

    before                                                after
    WithRelations                                         Project k, __riacho_aggregate_0 AS n
      SQL "SELECT k, count(*) AS n FROM s GROUP BY k"       Aggregate k, count(1) AS __riacho_aggregate_0
      SubqueryAlias s                                         SubqueryAlias s
        Read (streaming) t                                      Read (streaming) t

Text that only looks at one row at a time stays as it is: the engine reads it. Grouping, joining, sorting or removing
duplicates over a stream is more than the engine can do batch by batch, so it must be seen (see `sql_query`).
"""

from __future__ import annotations

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.facts import is_streaming, names
from riacho.server.plan.from_sql.grouping import has_aggregate
from riacho.server.plan.from_sql.query import read_query
from riacho.server.plan.rules.inline_views import find_view
from riacho.server.plan.walk import transform
from riacho.server.sql.pieces import UnknownSqlError
from riacho.server.sql.tokens import parse_identifier, tokenize
from riacho.server.sql.words import words

_WITH_STATE = words("GROUP HAVING DISTINCT ORDER SORT LIMIT OFFSET OVER INTERSECT EXCEPT MINUS PIVOT")
_PERHAPS = words("JOIN UNION")


def sql_queries(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule, to text with streams beside it. Raises UnsupportedOperationError for unknown SQL."""

    def change(node: pb.Relation) -> pb.Relation:
        if node.WhichOneof("rel_type") != "with_relations":
            return node
        beside = node.with_relations
        if beside.root.WhichOneof("rel_type") != "sql":
            return node
        streams = sum(_streams(reference, context) for reference in beside.references)
        if not streams:
            return node
        found = _words_of_state(beside.root.sql.query, several=streams > 1)
        if not found:
            return node
        try:
            return as_relations(node)
        except UnknownSqlError as unknown:
            if found <= _PERHAPS and streams == 1:
                return node  # a stream joined with tables keeps nothing
            raise UnsupportedOperationError(
                f"riacho cannot read this SQL as a streaming query, because of {unknown}. Use the DataFrame API, or "
                f"simplify the query: {beside.root.sql.query}"
            ) from None

    return transform(relation, change)


def as_relations(node: pb.Relation) -> pb.Relation:
    """SQL text with relations beside it as the relations that it means. Raises UnknownSqlError."""
    beside = node.with_relations
    text = beside.root.sql
    if text.pos_arguments or text.named_arguments or text.pos_args or text.args:
        raise UnknownSqlError("parameters")
    relations = {reference.subquery_alias.alias: reference.subquery_alias.input for reference in beside.references}
    read = read_query(text.query, relations)
    plan_id = node.common if node.common.HasField("plan_id") else beside.root.common
    if plan_id.HasField("plan_id"):  # columns taken from this DataFrame are found by it
        read.common.CopyFrom(plan_id)
    return read


def _streams(relation: pb.Relation, context: Context) -> bool:
    """Whether a relation streams, be it through a view that is not inlined yet."""
    if is_streaming(relation):
        return True
    views = (find_view(context, parse_identifier(table.name)) for table in names(relation))
    return any(view is not None and is_streaming(view) for view in views)


def _words_of_state(sql: str, *, several: bool) -> frozenset[str]:
    """The words of a text for which it may need state. `several`: it reads more than one stream."""
    tokens = tokenize(sql)
    found = {token.word for token in tokens} & (_WITH_STATE | _PERHAPS)
    distinct = [at for at, token in enumerate(tokens) if token.word == "DISTINCT"]
    if distinct and all(tokens[at - 1].word in ("IS", "NOT") for at in distinct):
        found.discard("DISTINCT")  # IS DISTINCT FROM
    if has_aggregate(tokens):
        found.add("GROUP")
    if several:
        found.add("JOIN")  # perhaps one by commas
    return frozenset(found)
