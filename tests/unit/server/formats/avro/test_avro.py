"""Whole columns of Avro messages, against fastavro, which reads and writes them one by one."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from riacho.errors import AvroSchemaError, SparkGeneralError
from riacho.server.formats.avro.decode import AvroDecoder
from riacho.server.formats.avro.encode import AvroEncoder
from riacho.server.formats.avro.schema import parse
from tests.unit.server.formats.avro.schemas import Draw, as_spark, message

SEEDS = range(150)
ROWS = 40


def drawn(seed: int) -> tuple[Any, list[Any], list[bytes]]:
    draw = Draw(seed)
    schema = {"type": "record", "name": "Top", "fields": [{"name": "x", "type": draw.schema()}]}
    values = [draw.value(schema) for _ in range(ROWS)]
    return schema, values, [message(schema, value) for value in values]


def test_random_messages_are_read_and_written_as_fastavro_does() -> None:
    for seed in SEEDS:
        schema, values, messages = drawn(seed)
        column = pa.array([*messages, None], pa.binary())
        read = AvroDecoder(json.dumps(schema), {}).decode(column)
        read.validate(full=True)
        assert read.to_pylist() == [*(as_spark(schema, value) for value in values), None], seed
        assert AvroEncoder(read.type, json.dumps(schema), nullable=True).encode(read).to_pylist() == [
            *messages,
            None,
        ], seed


def test_slices_and_schemas_of_its_own_come_back_as_they_were() -> None:
    for seed in SEEDS:
        schema, _, messages = drawn(seed)
        read = AvroDecoder(json.dumps(schema), {}).decode(pa.array(messages, pa.binary()))
        own = AvroEncoder(read.type, None, nullable=False)
        written = own.encode(read)
        assert AvroDecoder(own.schema.text(), {}).decode(written).equals(read), seed
        assert own.encode(read.slice(7, 20)).equals(written.slice(7, 20)), seed
        assert AvroDecoder(own.schema.text(), {}).decode(written.slice(3, 9)).equals(read.slice(3, 9)), seed


def test_fields_that_the_reader_does_not_want_are_skipped() -> None:
    wanted = {"type": "record", "name": "W", "fields": [{"name": "z", "type": "long"}]}
    for seed in SEEDS:
        schema, values, _ = drawn(seed)
        whole = {"type": "record", "name": "W", "fields": [{"name": "s", "type": schema}, {"name": "z", "type": "int"}]}
        column = pa.array([message(whole, {"s": value, "z": n}) for n, value in enumerate(values)], pa.binary())
        read = AvroDecoder(json.dumps(whole), {"avroSchema": json.dumps(wanted)}).decode(column)
        assert read.to_pylist() == [{"z": n} for n in range(ROWS)], seed


def test_a_damaged_message_harms_no_other() -> None:
    for seed in SEEDS:
        schema, values, messages = drawn(seed)
        damaged = [message[:-1] if n % 2 else message for n, message in enumerate(messages)]
        read = AvroDecoder(json.dumps(schema), {"mode": "PERMISSIVE"}).decode(pa.array(damaged, pa.binary()))
        expected = [as_spark(schema, value) for value in values]
        assert read.to_pylist()[::2] == expected[::2], seed


def test_random_bytes_never_do_more_than_fail() -> None:
    for seed in SEEDS:
        draw = Draw(seed)
        schema = {"type": "record", "name": "Top", "fields": [{"name": "x", "type": draw.schema()}]}
        noise = pa.array([draw.random.randbytes(draw.random.randrange(30)) for _ in range(ROWS)], pa.binary())
        AvroDecoder(json.dumps(schema), {"mode": "PERMISSIVE"}).decode(noise).validate(full=True)


@pytest.mark.parametrize(("precision", "scale"), [(1, 0), (5, 2), (18, 0), (19, 19), (38, 10)])
def test_decimals(precision: int, scale: int) -> None:
    kind = pa.decimal128(precision, scale)
    most = 10**precision - 1
    unscaled = (0, 1, -1, 9, -9, most, -most)
    column = pa.array(
        [*(pa.scalar(Decimal((n < 0, tuple(map(int, str(abs(n)))), -scale)), kind) for n in unscaled), None]
    )
    fixed = AvroEncoder(kind, None, nullable=True)
    assert AvroDecoder(fixed.schema.text(), {}).decode(fixed.encode(column)).equals(column)
    schema = json.dumps({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
    assert AvroDecoder(schema, {}).decode(AvroEncoder(kind, schema, nullable=True).encode(column)).equals(column)


def test_long_lists_and_texts() -> None:
    schema = '{"type":"record","name":"R","fields":[{"name":"n","type":{"type":"array","items":"long"}},{"name":"s","type":"string"}]}'  # noqa: E501
    values = [{"n": list(range(-n, n)), "s": "é" * n} for n in (0, 1, 5000, 3)]
    column = pa.array([message(json.loads(schema), value) for value in values], pa.binary())
    read = AvroDecoder(schema, {}).decode(column)
    assert read.to_pylist() == values
    assert AvroEncoder(read.type, schema, nullable=True).encode(read).equals(column)


def test_a_schema_is_shown_as_java_shows_it() -> None:
    text = (
        '{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"x","type":{"type":"enum","name":"E",'
        '"symbols":["A"]}},{"name":"y","type":["null","E"],"default":null},{"name":"z","type":"R"}]}'
    )
    assert parse(text).text() == text
    assert parse('{"type":{"type":"string"}}').text() == '"string"'
    for wrong in ("", "{", '"wat"', "{}", '{"type":"enum","name":"E"}', '["int",["int"]]', '["int","int"]', "1"):
        with pytest.raises(AvroSchemaError):
            parse(wrong)


def test_a_list_that_claims_more_than_there_is() -> None:
    nulls = AvroDecoder('{"type":"array","items":"null"}', {})
    with pytest.raises(SparkGeneralError, match="Malformed"):
        nulls.decode(pa.array([b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"], pa.binary()))
