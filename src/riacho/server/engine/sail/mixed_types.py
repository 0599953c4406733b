"""Unions of different types: what the engine says of them, and what it does.

It says that `SELECT 1 UNION ALL SELECT 2.5D` has a column of INT, after its first input, and computes DOUBLE, as Spark
does. Who believes it stores 2. What it has planned for no rows at all knows better, and costs one call more; so it is
asked about plans with a union in them only.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.plan.walk import walk
from riacho.server.sql.tokens import has_word
from riacho.server.sql.words import SET_OPERATIONS


def may_mix_types(relation: pb.Relation) -> bool:
    """Whether a plan puts rows of two inputs into one column."""
    return any(
        node.HasField("set_op") or (node.HasField("sql") and has_word(node.sql.query, SET_OPERATIONS))
        for node in walk(relation)
    )


def without_rows(relation: pb.Relation) -> pb.Relation:
    """A plan for the columns of another."""
    return pb.Relation(limit=pb.Limit(input=relation, limit=0))


def corrected(declared: pa.Schema, planned: pa.Schema) -> pa.Schema:
    """`declared`, its columns with the simple types that were really planned."""
    if len(declared) != len(planned):
        return declared
    fields = []
    for field, found in zip(declared, planned, strict=True):
        kind = types.normalise(found.type)
        simple = not (pa.types.is_nested(field.type) or pa.types.is_nested(kind))
        fields.append(field.with_type(kind) if simple and kind != field.type else field)
    return pa.schema(fields)
