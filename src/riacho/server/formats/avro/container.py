"""Avro's files: a header with the schema, then blocks of records that are compressed one by one."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from riacho.extras import require
from riacho.server.formats.avro.schema import Schema, parse

_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_TOGETHER_BYTES: Final = 4 << 20
"""Blocks up to this size are worked on at once."""


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
    count, parts, size = 0, list[bytes](), 0
    damage: DamagedContainerError | None = None
    blocks = _blocks(stream, header)
    while True:
        try:
            block = next(blocks, None)
        except DamagedContainerError as error:
            block, damage = None, error
        if block is not None:
            count, size = count + block[0], size + len(block[1])
            parts.append(block[1])
        if count and (block is None or size >= _TOGETHER_BYTES):
            yield boundaries.messages(count, b"".join(parts))
            count, parts, size = 0, [], 0
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
    """Finds where records end, which only reading them tells: by fastavro, into a record without fields."""

    def __init__(self, header: Header) -> None:
        self._fastavro = require("fastavro", "avro", "Reading Avro files")
        self._empty = {"type": "record", "name": header.schema.full_name, "fields": []}
        pairs = {"avro.codec": b"null", "avro.schema": header.text.encode()}
        written = b"".join(_written(key.encode()) + _written(value) for key, value in pairs.items())
        self._head = _MAGIC + _varint(len(pairs)) + written + b"\x00" + b"\x00" * _SYNC_BYTES

    def messages(self, count: int, data: bytes) -> pa.Array:
        """The records in `data`. Raises DamagedContainerError."""
        file = io.BytesIO(self._head + _varint(count) + _varint(len(data)) + data + b"\x00" * _SYNC_BYTES)
        try:
            block: Any = next(iter(self._fastavro.block_reader(file, reader_schema=self._empty)))
            tell = block.bytes_.tell
            offsets = np.fromiter((tell() for _ in block), np.int32, count)
        except Exception as error:  # fastavro raises whatever comes in its way
            raise DamagedContainerError(f"A record cannot be read: {error!r}") from error
        whole = np.concatenate((np.zeros(1, np.int32), offsets))
        return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(whole), pa.py_buffer(data)])


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
