"""Unions of different types: the schema that the engine reports is not the one it computes.

It reports that `SELECT 1 UNION ALL SELECT 2.5D` has an INT column, like its first input, but computes DOUBLE, as Spark
does. Relying on the report would store 2. Running the plan for no rows shows the right types, but costs one more call,
so this is done only for plans that contain a union.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.plan.walk import walk
from riacho.server.sql.tokens import has_word
from riacho.server.sql.words import SET_OPERATIONS


def may_mix_types(relation: pb.Relation) -> bool:
    """Whether a plan combines rows of two inputs in one column."""
    return any(
        node.HasField("set_op") or (node.HasField("sql") and has_word(node.sql.query, SET_OPERATIONS))
        for node in walk(relation)
    )


def without_rows(relation: pb.Relation) -> pb.Relation:
    """The plan limited to no rows, which yields only its columns."""
    return pb.Relation(limit=pb.Limit(input=relation, limit=0))


def corrected(declared: pa.Schema, planned: pa.Schema) -> pa.Schema:
    """`declared`, with each column of a simple type given the type that was actually planned."""
    if len(declared) != len(planned):
        return declared
    fields = []
    for field, found in zip(declared, planned, strict=True):
        kind = types.normalise(found.type)
        simple = not (pa.types.is_nested(field.type) or pa.types.is_nested(kind))
        fields.append(field.with_type(kind) if simple and kind != field.type else field)
    return pa.schema(fields)
