"""The names of tables and views that a plan reads, wherever they stand: reads, SQL text, subqueries in expressions."""

from __future__ import annotations

from collections.abc import Iterator

from riacho.protos import pb
from riacho.server.plan.walk import Finder, walk
from riacho.server.sql.references import table_references
from riacho.server.sql.tokens import parse_identifier

_EXPRESSION_TEXTS = Finder(pb.Expression.ExpressionString, barrier=pb.Relation)


def texts_with_queries(relation: pb.Relation) -> Iterator[pb.Expression.ExpressionString]:
    """The texts among the expressions of this very relation that may hold subqueries."""
    return (text for text in _EXPRESSION_TEXTS.nearest(relation) if "from" in text.expression.lower())


def names_read(relation: pb.Relation) -> frozenset[str]:
    """The names in lower case, their parts joined by dots. Raises ParseError (see `table_references`)."""
    return frozenset(".".join(parts).lower() for parts in _names(relation) if parts)


def _names(relation: pb.Relation) -> Iterator[tuple[str, ...]]:
    for node in walk(relation):
        match node.WhichOneof("rel_type"):
            case "read" if node.read.HasField("named_table"):
                yield parse_identifier(node.read.named_table.unparsed_identifier)
            case "sql":
                yield from (table.parts for table in table_references(node.sql.query))
        for text in texts_with_queries(node):
            yield from (table.parts for table in table_references(text.expression))
