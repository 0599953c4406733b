"""Make relations and expressions in few words, for plans that riacho itself writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from riacho import types
from riacho.identifiers import quote
from riacho.protos import pb

Expression = pb.Expression


def col(name: str) -> Expression:
    """The column of exactly this name, whatever characters it has."""
    return Expression(unresolved_attribute=Expression.UnresolvedAttribute(unparsed_identifier=quote(name)))


def call(function: str, *arguments: Expression) -> Expression:
    return Expression(unresolved_function=Expression.UnresolvedFunction(function_name=function, arguments=arguments))


def alias(expression: Expression, name: str) -> Expression:
    """`expression` under a name; a name it has already is taken off."""
    if expression.WhichOneof("expr_type") == "alias" and len(expression.alias.name) == 1:
        expression = expression.alias.expr
    return Expression(alias=Expression.Alias(expr=expression, name=[name]))


def text(value: str) -> Expression:
    return Expression(literal=Expression.Literal(string=value))


def integer(value: int) -> Expression:
    return Expression(literal=Expression.Literal(long=value))


def timestamp(micros: int) -> Expression:
    """A moment, in microseconds since the epoch."""
    return Expression(literal=Expression.Literal(timestamp=micros))


def duration(micros: int) -> Expression:
    """An interval of days to seconds, given in microseconds."""
    return Expression(literal=Expression.Literal(day_time_interval=micros))


def boolean(value: bool) -> Expression:
    return Expression(literal=Expression.Literal(boolean=value))


def null() -> Expression:
    literal = Expression.Literal()
    literal.null.null.SetInParent()
    return Expression(literal=literal)


def star() -> Expression:
    return Expression(unresolved_star=Expression.UnresolvedStar())


def cast(expression: Expression, to: pa.DataType) -> Expression:
    """`expression` as a value of type `to`. Raises UNSUPPORTED_DATATYPE."""
    return Expression(cast=Expression.Cast(expr=expression, type=types.to_proto(to)))


def field_of(struct: Expression, name: str) -> Expression:
    """The field of a struct."""
    extract = Expression.UnresolvedExtractValue(child=struct, extraction=text(name))
    return Expression(unresolved_extract_value=extract)


def project(relation: pb.Relation, expressions: Iterable[Expression]) -> pb.Relation:
    return pb.Relation(project=pb.Project(input=relation, expressions=expressions))


def where(relation: pb.Relation, condition: Expression) -> pb.Relation:
    return pb.Relation(filter=pb.Filter(input=relation, condition=condition))


def group(relation: pb.Relation, keys: Sequence[Expression], aggregates: Sequence[Expression]) -> pb.Relation:
    return pb.Relation(
        aggregate=pb.Aggregate(
            input=relation,
            group_type=pb.Aggregate.GROUP_TYPE_GROUPBY,
            grouping_expressions=keys,
            aggregate_expressions=aggregates,
        )
    )


def union(left: pb.Relation, right: pb.Relation) -> pb.Relation:
    """All rows of both, by position."""
    return pb.Relation(
        set_op=pb.SetOperation(
            left_input=left, right_input=right, set_op_type=pb.SetOperation.SET_OP_TYPE_UNION, is_all=True
        )
    )


def drop(relation: pb.Relation, names: Iterable[str]) -> pb.Relation:
    return pb.Relation(drop=pb.Drop(input=relation, column_names=names))
