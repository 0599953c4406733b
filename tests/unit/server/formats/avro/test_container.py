"""Avro files: their blocks one after the other and side by side, and what is wrong with them."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from riacho.server.formats.avro.container import DamagedContainerError, read_header, read_messages

FLAT = {
    "type": "record",
    "name": "top",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "ratio", "type": "double"},
    ],
}
LISTS = {
    "type": "record",
    "name": "top",
    "fields": [{"name": "id", "type": "long"}, {"name": "list", "type": {"type": "array", "items": "string"}}],
}


def flat(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "text": None if n % 3 else "x" * (n % 50), "ratio": n / 3} for n in range(count)]


def lists(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "list": ["y" * (n % 7)] * (n % 5)} for n in range(count)]


def written(schema: Any, records: list[dict[str, Any]], codec: str = "null", block_bytes: int = 100) -> bytes:
    sink = io.BytesIO()
    fastavro.writer(sink, fastavro.parse_schema(schema), records, codec=codec, sync_interval=block_bytes)
    return sink.getvalue()


def read(data: bytes) -> list[bytes]:
    stream = io.BytesIO(data)
    header = read_header(stream)
    return [message for part in read_messages(stream, header) for message in part.to_pylist()]


def each(schema: Any, records: list[dict[str, Any]]) -> list[bytes]:
    """What each record is when it is written alone."""
    parsed, found = fastavro.parse_schema(schema), []
    for record in records:
        sink = io.BytesIO()
        fastavro.schemaless_writer(sink, parsed, record)
        found.append(sink.getvalue())
    return found


@pytest.mark.parametrize("block_bytes", [1 << 20, 2000, 100, 1])
@pytest.mark.parametrize(("schema", "make"), [(FLAT, flat), (LISTS, lists)], ids=["flat", "lists"])
def test_records_are_found_in_order_whatever_blocks_they_are_in(schema: Any, make: Any, block_bytes: int) -> None:
    records = make(3000)
    assert read(written(schema, records, block_bytes=block_bytes)) == each(schema, records)


@pytest.mark.parametrize("codec", ["deflate", "bzip2", "xz"])
def test_blocks_are_decompressed(codec: str) -> None:
    assert read(written(FLAT, flat(500), codec)) == each(FLAT, flat(500))


def test_snappy_and_zstandard() -> None:
    plain = written(FLAT, flat(10), block_bytes=1 << 20)
    for codec, arrow, tail in (("snappy", "snappy", b"\x00" * 4), ("zstandard", "zstd", b"")):
        header = read_header(io.BytesIO(plain))
        body = b"".join(each(FLAT, flat(10)))
        packed = pa.compress(body, arrow, asbytes=True) + tail
        head = b"Obj\x01" + b"\x04"
        for key, value in ((b"avro.schema", header.text.encode()), (b"avro.codec", codec.encode())):
            head += _sized(key) + _sized(value)
        data = head + b"\x00" + b"s" * 16 + _long(10) + _sized(packed) + b"s" * 16
        assert read(data) == each(FLAT, flat(10)), codec


def _long(number: int) -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, "long", number)
    return sink.getvalue()


def _sized(data: bytes) -> bytes:
    return _long(len(data)) + data


@pytest.mark.parametrize("block_bytes", [1 << 20, 100])
def test_what_stands_before_the_damage_is_given(block_bytes: int) -> None:
    data = written(FLAT, flat(3000), block_bytes=block_bytes)
    stream = io.BytesIO(data[:-1])
    header = read_header(stream)
    found: list[bytes] = []
    parts = (part.to_pylist() for part in read_messages(stream, header))
    with pytest.raises(DamagedContainerError, match="too early"):
        found.extend(message for part in parts for message in part)
    assert found == each(FLAT, flat(3000))[: len(found)]
    assert (len(found) > 2900) is (block_bytes == 100)


def test_a_record_that_is_not_what_the_schema_says() -> None:
    data = bytearray(written(FLAT, flat(3000)))
    place = data.index(b"x" * 48)
    data[place - 2 : place] = b"\xff\xff"
    with pytest.raises(DamagedContainerError):
        read(bytes(data))


@pytest.mark.parametrize("data", [b"", b"Obj\x01", b"Obj\x02abc", b"Obj\x01\x02\x16avro.schema\x02"])
def test_what_is_no_file(data: bytes) -> None:
    with pytest.raises(DamagedContainerError):
        read_header(io.BytesIO(data))
