"""How data go into tables: names, types, and what is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import AnalysisError
from riacho.server.delta.fit import fit
from riacho.server.delta.schema import castable, merge, readable_as, same_columns, to_arrow, to_json, tree
from riacho.types import with_comment

TABLE = pa.schema([("id", pa.int64()), ("name", pa.string())])


def test_data_that_fit_go_in_as_they_are() -> None:
    fitted = fit(TABLE, TABLE, merge_schema=False, table_id="x")
    assert fitted.plain
    assert not fitted.grown


def test_order_and_case_do_not_matter_and_types_are_cast() -> None:
    data = pa.schema([("NAME", pa.string()), ("Id", pa.int32())])
    fitted = fit(TABLE, data, merge_schema=False, table_id="x")
    assert [(c.source, c.target, c.cast) for c in fitted.columns] == [
        ("NAME", "name", None),
        ("Id", "id", pa.int64()),
    ]


def test_columns_that_the_table_lacks() -> None:
    data = pa.schema([("id", pa.int64()), ("more", pa.float64())])
    with pytest.raises(AnalysisError, match="(?s)SCHEMA_MISMATCH.*Table ID: x.*more: double"):
        fit(TABLE, data, merge_schema=False, table_id="x")
    grown = fit(TABLE, data, merge_schema=True, table_id="x")
    assert (grown.grown, grown.table.names) == (True, ["id", "name", "more"])


def test_structs_keep_to_their_own_fields() -> None:
    table = pa.schema([("s", pa.struct([("a", pa.int64()), ("b", pa.string())]))])
    data = pa.schema([("s", pa.struct([("A", pa.int32())]))])
    (column,) = fit(table, data, merge_schema=False, table_id="x").columns
    assert column.cast == pa.struct([("a", pa.int64())])


@pytest.mark.parametrize(
    ("data", "table"),
    [
        (pa.string(), pa.int64()),
        (pa.list_(pa.int64()), pa.int64()),
        (pa.binary(), pa.string()),
        (pa.struct([("a", pa.string())]), pa.struct([("a", pa.int64())])),
    ],
)
def test_types_that_cannot_be_reconciled(data: pa.DataType, table: pa.DataType) -> None:
    with pytest.raises(AnalysisError, match="DELTA_FAILED_TO_MERGE_FIELDS.*'[ac]'"):
        merge(pa.schema([("c", table)]), pa.schema([("c", data)]))


def test_nulls_fit_everywhere() -> None:
    assert castable(pa.null(), pa.list_(pa.int64()))


simple = st.sampled_from([pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32()])
schemas = st.lists(st.tuples(st.sampled_from("abcdef"), simple), unique_by=lambda c: c[0]).map(
    lambda columns: pa.schema(list(columns))
)


@given(schemas)
def test_merging_with_itself_changes_nothing(schema: pa.Schema) -> None:
    assert same_columns(merge(schema, schema), schema)


@given(schemas, schemas)
def test_merging_keeps_the_table_and_adds_the_rest(table: pa.Schema, data: pa.Schema) -> None:
    try:
        merged = merge(table, data)
    except AnalysisError:
        assert any(table.field(name).type != data.field(name).type for name in {*table.names} & {*data.names})
        return
    assert merged.names[: len(table)] == table.names
    assert set(merged.names) == {*table.names, *data.names}
    assert readable_as(table, merged)
    assert all(castable(f.type, merged.field(f.name).type) for f in data)


@given(schemas)
def test_schemas_come_through_the_log(schema: pa.Schema) -> None:
    assert to_arrow(to_json(schema)).equals(schema)


def test_comments_and_other_metadata_stay() -> None:
    before = '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{"k":1,"comment":"x"}}]}'
    field = with_comment(pa.field("a", pa.int64()), "y")
    after = to_json(pa.schema([field, pa.field("b", pa.string())]), before)
    assert '"metadata":{"k":1,"comment":"y"}' in after
    assert to_arrow(after).field("a").metadata == {b"comment": b"y"}


def test_what_a_reader_may_miss() -> None:
    wide, narrow = pa.schema([("a", pa.int64()), ("b", pa.int64())]), pa.schema([("a", pa.int64())])
    assert readable_as(narrow, wide)
    assert not readable_as(wide, narrow)
    assert not readable_as(narrow, pa.schema([pa.field("a", pa.int64(), nullable=False)]))
    assert not readable_as(narrow, pa.schema([("a", pa.string())]))


def test_a_schema_is_drawn_as_spark_draws_it() -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("s", pa.struct([("x", pa.decimal128(5, 2))]))])
    assert tree(schema) == (
        "root\n |-- id: long (nullable = false)\n |-- s: struct (nullable = true)\n"
        " |    |-- x: decimal(5,2) (nullable = true)\n"
    )
