from __future__ import annotations

import pyarrow as pa
import pytest

from riacho.protos import pb
from riacho.server.engine.sail.mixed_types import corrected, may_mix_types
from riacho.server.plan import build


def sql(text: str) -> pb.Relation:
    return pb.Relation(sql=pb.SQL(query=text))


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (sql("SELECT 1"), False),
        (sql("SELECT 1 union\nall SELECT 2.5"), True),
        (sql("SELECT a FROM unions"), False),
        (build.project(build.union(sql("SELECT 1"), sql("SELECT 2")), []), True),
    ],
    ids=["no union", "a union in text", "a name like one", "a union below"],
)
def test_only_unions_mix_types(relation: pb.Relation, expected: bool) -> None:
    assert may_mix_types(relation) is expected


def test_what_was_planned_is_right_about_simple_types() -> None:
    declared = pa.schema([pa.field("a", pa.int32(), nullable=False), ("b", pa.string()), ("c", pa.list_(pa.int32()))])
    planned = pa.schema([("x", pa.float64()), ("y", pa.string_view()), ("z", pa.list_(pa.float64()))])
    assert corrected(declared, planned) == pa.schema([pa.field("a", pa.float64(), nullable=False), *list(declared)[1:]])


def test_columns_that_are_not_the_same_ones_stay() -> None:
    declared = pa.schema([("a", pa.int32())])
    assert corrected(declared, pa.schema([])) == declared
