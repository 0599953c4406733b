from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import SparkError
from riacho.server.graph.schemas import merge, merge_all, tree_string

simple = st.sampled_from([pa.int32(), pa.string(), pa.timestamp("us", tz="UTC"), pa.decimal128(10, 2)])
schemas = st.dictionaries(st.sampled_from("abcd"), simple, max_size=4).map(
    lambda columns: pa.schema([pa.field(name, arrow) for name, arrow in columns.items()])
)


def test_columns_of_both_the_left_order_first() -> None:
    left = pa.schema([pa.field("a", pa.int32(), nullable=False), pa.field("b", pa.int32(), nullable=False)])
    right = pa.schema([("c", pa.string()), ("b", pa.int32())])
    merged = merge(left, right)
    assert merged.names == ["a", "b", "c"]
    assert [field.nullable for field in merged] == [False, True, True]


def test_nested_columns_are_merged_inside() -> None:
    left = pa.schema([("s", pa.list_(pa.struct([("x", pa.int32())])))])
    right = pa.schema([("s", pa.list_(pa.struct([("y", pa.string())])))])
    element = merge(left, right).field("s").type.value_type
    assert [field.name for field in element] == ["x", "y"]


def test_decimals_of_one_scale() -> None:
    wide = merge(pa.schema([("d", pa.decimal128(10, 2))]), pa.schema([("d", pa.decimal128(12, 2))]))
    assert wide.field("d").type == pa.decimal128(12, 2)
    with pytest.raises(SparkError, match=r'incompatible data types "DECIMAL\(10,2\)" and "DECIMAL\(10,3\)"'):
        merge(pa.schema([("d", pa.decimal128(10, 2))]), pa.schema([("d", pa.decimal128(10, 3))]))


@given(schemas)
def test_merging_with_itself_or_nothing_changes_nothing(schema: pa.Schema) -> None:
    assert merge(schema, schema).equals(schema)
    assert merge_all([schema, pa.schema([])]).equals(schema)


@given(schemas, schemas)
def test_a_merge_holds_both_or_is_refused(left: pa.Schema, right: pa.Schema) -> None:
    clash = any(left.field(name).type != right.field(name).type for name in set(left.names) & set(right.names))
    if clash:
        with pytest.raises(SparkError, match="CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE"):
            merge(left, right)
    else:
        assert set(merge(left, right).names) == {*left.names, *right.names}


def test_tree_string() -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("s", pa.struct([pa.field("x", pa.list_(pa.field("element", pa.int32(), nullable=False)))])),
            pa.field("m", pa.map_(pa.string(), pa.decimal128(5, 1))),
        ]
    )
    assert tree_string(schema) == (
        "root\n"
        " |-- id: long (nullable = false)\n"
        " |-- s: struct (nullable = true)\n"
        " |    |-- x: array (nullable = true)\n"
        " |    |    |-- element: integer (containsNull = false)\n"
        " |-- m: map (nullable = true)\n"
        " |    |-- key: string\n"
        " |    |-- value: decimal(5,1) (valueContainsNull = true)\n"
    )
