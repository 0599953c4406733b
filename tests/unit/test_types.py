"""Schemas keep what Spark keeps: a column's comment comes in with the message and stays."""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.protos import pb


def test_a_columns_comment_comes_from_its_metadata() -> None:
    message = pb.DataType()
    message.struct.fields.add(name="a", nullable=True, metadata='{"comment":"olá"}').data_type.integer.SetInParent()
    message.struct.fields.add(name="b", nullable=True, metadata='{"other":1}').data_type.string.SetInParent()
    message.struct.fields.add(name="c", nullable=False).data_type.long.SetInParent()

    schema = types.schema_from_proto(message)

    assert [field.metadata for field in schema] == [{types.COMMENT: "olá".encode()}, None, None]
    assert schema.equals(pa.schema([("a", pa.int32()), ("b", pa.string()), pa.field("c", pa.int64(), nullable=False)]))


def test_a_normalised_schema_keeps_comments_and_nothing_else() -> None:
    fields = [
        pa.field("a", pa.large_string(), metadata={types.COMMENT: b"kept", b"PARQUET:field_id": b"1"}),
        pa.field("b", pa.timestamp("ms"), metadata={b"PARQUET:field_id": b"2"}),
    ]

    normal = types.normalise_schema(pa.schema(fields, metadata={b"pandas": b"{}"}))

    assert normal.metadata is None
    assert [field.metadata for field in normal] == [{types.COMMENT: b"kept"}, None]
    assert normal.types == [pa.string(), types.TIMESTAMP_NTZ]


def test_fields_of_null_structs_are_null() -> None:
    inner = pa.struct([pa.field("x", pa.bool_()), pa.field("n", pa.int64(), nullable=False)])
    kind = pa.struct([pa.field("in", inner), pa.field("s", pa.string())])
    row = {"in": {"x": True, "n": 1}, "s": "a"}
    rows = [row, {"in": None, "s": "b"}, None, row]
    batch = pa.record_batch(
        {
            "a": pa.array(rows, kind),
            "list": pa.array([rows, None, [], [None]], pa.list_(kind)),
            "map": pa.array([[("k", row), ("l", None)], None, [], [("k", None)]], pa.map_(pa.string(), kind)),
            "b": pa.array([1, None, 3, 4]),
        }
    )
    for given in (batch, batch.slice(1), batch.slice(3)):
        changed = types.with_inner_nulls(given)
        changed.validate(full=True)
        assert changed.schema == given.schema
        assert changed.to_pylist() == given.to_pylist()
        of_lists, of_maps = changed["list"].flatten(), changed["map"].items
        for structs in (changed["a"], of_lists, of_maps):
            outer = structs.to_pylist()
            assert structs.field("s").to_pylist() == [each and each["s"] for each in outer]
            wanted = [each and each["in"] for each in outer]
            for name in ("x", "n"):
                assert structs.field("in").field(name).to_pylist() == [each and each[name] for each in wanted]
        assert types.with_inner_nulls(changed) is changed
    plain = batch.select(["b"])
    assert types.with_inner_nulls(plain) is plain
