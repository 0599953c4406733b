"""Avro's files: a header with the schema, then blocks of records that are compressed one by one."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from riacho.extras import require
from riacho.server.formats.avro.cursors import Cursors, Data, Ints
from riacho.server.formats.avro.options import AvroOptions
from riacho.server.formats.avro.resolution import reader_of
from riacho.server.formats.avro.schema import Schema, parse

_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_TOGETHER_BYTES: Final = 32 << 20
"""Blocks up to this size are worked on at once."""
_SIDE_BY_SIDE: Final = 64
"""From so many blocks on, a record of each at a time is faster than record after record; of records with lists, four
times as many.
"""


class DamagedContainerError(Exception):
    """What was read is no Avro file, or not all of one."""


@dataclass(frozen=True)
class Header:
    """`text`: the schema as it stands in the file. `metadata`: what else its writer wrote there."""

    text: str
    schema: Schema
    codec: str
    sync: bytes
    metadata: Mapping[str, bytes]


def read_header(stream: io.BufferedIOBase) -> Header:
    """The header of a file. Raises DamagedContainerError, AvroSchemaError."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise DamagedContainerError("Not an Avro data file.")
    metadata: dict[str, bytes] = {}
    while count := _long(stream):
        if count < 0:
            count = -count
            _long(stream)
        for _ in range(count):
            key = _bytes(stream).decode("utf-8", "replace")
            metadata[key] = _bytes(stream)
    sync = _exactly(stream, _SYNC_BYTES)
    if "avro.schema" not in metadata:
        raise DamagedContainerError("The file has no schema.")
    text = metadata["avro.schema"].decode("utf-8", "replace")
    codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
    return Header(text, parse(text), codec, sync, metadata)


def read_messages(stream: io.BufferedIOBase, header: Header) -> Iterator[pa.Array]:
    """The records of a file behind its header, as messages: BINARY columns without nulls.

    Raises DamagedContainerError behind the last whole block, UnsupportedOperationError for a compression that nobody
    knows, AnalysisError if the extra `avro` is not installed.
    """
    boundaries = _Boundaries(header)
    counts, parts, size = list[int](), list[bytes](), 0
    damage: DamagedContainerError | None = None
    blocks = _blocks(stream, header)
    while True:
        try:
            block = next(blocks, None)
        except DamagedContainerError as error:
            block, damage = None, error
        if block is not None and block[0]:
            size += len(block[1])
            counts.append(block[0])
            parts.append(block[1])
        if counts and (block is None or size >= _TOGETHER_BYTES):
            yield boundaries.messages(counts, parts)
            counts, parts, size = [], [], 0
        if damage is not None:
            raise damage
        if block is None:
            return


def _blocks(stream: io.BufferedIOBase, header: Header) -> Iterator[tuple[int, bytes]]:
    """How many records each block has, and its data."""
    decompress = _DECOMPRESS.get(header.codec)
    if decompress is None:
        raise DamagedContainerError(f"Unrecognized codec: {header.codec}")
    while first := stream.read(1):
        count, size = _long(stream, first), _long(stream)
        if count < 0 or size < 0:
            raise DamagedContainerError(f"Block size invalid or too large: {size}")
        data = _exactly(stream, size)
        if _exactly(stream, _SYNC_BYTES) != header.sync:
            raise DamagedContainerError("Invalid sync!")
        try:
            yield count, decompress(data)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise DamagedContainerError(f"A block cannot be decompressed: {error}") from error


class _Boundaries:
    """Finds where records end, which only reading them tells: by fastavro, into a record without fields.

    Many blocks are gone through side by side instead.
    """

    def __init__(self, header: Header) -> None:
        self._fastavro = require("fastavro", "avro", "Reading Avro files")
        self._empty = {"type": "record", "name": header.schema.full_name, "fields": []}
        pairs = {"avro.codec": b"null", "avro.schema": header.text.encode()}
        written = b"".join(_written(key.encode()) + _written(value) for key, value in pairs.items())
        nothing = replace(header.schema, fields=[])
        self._skipper = reader_of(header.schema, nothing, pa.struct([]), AvroOptions())
        self._least = _SIDE_BY_SIDE * (4 if _has_lists(header.schema, frozenset()) else 1)
        self._head = _MAGIC + _varint(len(pairs)) + written + b"\x00" + b"\x00" * _SYNC_BYTES

    def messages(self, counts: Sequence[int], blocks: Sequence[bytes]) -> pa.Array:
        """The records of blocks that have so many each. Raises DamagedContainerError."""
        count, data = sum(counts), b"".join(blocks)
        sizes = np.array([len(block) for block in blocks], np.int64)
        starts = self._side_by_side(np.array(counts, np.int64), sizes, data) if len(blocks) >= self._least else None
        if starts is None:
            return self._one_by_one(count, data)
        offsets = np.append(starts, len(data)).astype(np.int32)
        return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])

    def _side_by_side(self, counts: Ints, sizes: Ints, data: bytes) -> Ints | None:
        """Where all records begin; None if something is wrong, or one block has most of the records."""
        if counts.max() * self._least > counts.sum() * 2:
            return None
        order = np.argsort(-counts, kind="stable")
        ends = np.cumsum(sizes)
        counts, at, end = counts[order], (ends - sizes)[order], ends[order]
        lanes = Cursors(Data(np.frombuffer(data, np.uint8)), at, end, np.zeros(len(at), np.bool_))
        found = []
        for number in range(int(counts[0])):
            active = int(np.searchsorted(-counts, -number))
            if active < len(lanes):
                if (lanes.at[active:] != lanes.end[active:]).any():
                    return None
                lanes = lanes.some(slice(active))
            found.append(lanes.at.copy())
            self._skipper.skip(lanes)
            if lanes.bad.any():
                return None
        return None if (lanes.at != lanes.end).any() else np.sort(np.concatenate(found))

    def _one_by_one(self, count: int, data: bytes) -> pa.Array:
        file = io.BytesIO(self._head + _varint(count) + _varint(len(data)) + data + b"\x00" * _SYNC_BYTES)
        try:
            block: Any = next(iter(self._fastavro.block_reader(file, reader_schema=self._empty)))
            tell = block.bytes_.tell
            offsets = np.fromiter((tell() for _ in block), np.int32, count)
        except Exception as error:  # fastavro raises whatever comes in its way
            raise DamagedContainerError(f"A record cannot be read: {error!r}") from error
        whole = np.concatenate((np.zeros(1, np.int32), offsets))
        return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(whole), pa.py_buffer(data)])


def _has_lists(schema: Schema, inside: frozenset[str]) -> bool:
    """Whether a value may have values of any number in it; one that contains itself may."""
    if schema.kind == "record":
        name = schema.full_name
        return name in inside or any(_has_lists(field.schema, inside | {name}) for field in schema.fields)
    return schema.kind in ("array", "map") or any(_has_lists(branch, inside) for branch in schema.branches)


def _long(stream: io.BufferedIOBase, first: bytes | None = None) -> int:
    value = shift = 0
    while True:
        byte = first if first is not None else stream.read(1)
        first = None
        if not byte or shift > 63:
            raise DamagedContainerError("The file ends too early.")
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)


def _bytes(stream: io.BufferedIOBase) -> bytes:
    return _exactly(stream, _long(stream))


def _exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    found = stream.read(size) if size >= 0 else b""
    if len(found) != size:
        raise DamagedContainerError("The file ends too early.")
    return found


def _varint(number: int) -> bytes:
    rest, found = number << 1, bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def _written(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _snappy(data: bytes) -> bytes:
    body = data[:-4]  # a checksum follows
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return bytes(pa.decompress(body, size, "snappy", asbytes=True))


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        found: bytes = stream.read()
    return found


_DECOMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "null": bytes,
    "deflate": lambda data: zlib.decompress(data, -15),
    "snappy": _snappy,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
    "zstandard": _zstandard,
}
