"""Avro's container files: a header with the schema, then blocks of rows, each compressed by itself."""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from riacho.conf import AVRO_CODEC, GetConf
from riacho.errors import IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.avro.encode import AvroEncoder, encoder
from riacho.server.formats.avro.sql_types import to_avro
from riacho.server.formats.write.columnar import Columnar
from riacho.server.formats.write.lines import content

_MAGIC: Final = b"Obj\x01"
_BLOCK_ROWS: Final = 1 << 14
"""How many rows are compressed at a time: a reader holds as many."""


def _snappy(data: bytes) -> bytes:
    packed: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return packed + zlib.crc32(data).to_bytes(4, "big")


def _deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def _zstandard(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd", 3).compress(data, asbytes=True)
    return packed


_CODECS: Final[Mapping[str, tuple[str, str, Callable[[bytes], bytes]]]] = {
    "uncompressed": ("null", "", bytes),
    "snappy": ("snappy", ".snappy", _snappy),
    "deflate": ("deflate", ".deflate", _deflate),
    "bzip2": ("bzip2", ".bzip2", bz2.compress),
    "xz": ("xz", ".xz", lzma.compress),
    "zstandard": ("zstandard", ".zstandard", _zstandard),
}
"""Spark's names: what Avro calls it, what stands in the names of files, and what it does to a block."""


class _AvroFile:
    """See `files.OpenFile`."""

    def __init__(self, path: Path, rows: AvroEncoder, codec: str, pack: Callable[[bytes], bytes]) -> None:
        self._rows = rows
        self._pack = pack
        self._sync = os.urandom(16)
        kept = {"avro.schema": rows.schema.text(), "avro.codec": codec}
        texts = b"".join(_text(part) for pair in kept.items() for part in pair)
        self._file = path.open("wb")
        self._file.write(_MAGIC + _number(len(kept)) + texts + _number(0) + self._sync)

    def encode(self, batch: pa.RecordBatch) -> bytes:
        column = pa.StructArray.from_arrays(batch.columns, fields=list(self._rows.kind))
        made = []
        for at in range(0, len(column), _BLOCK_ROWS):
            part = column.slice(at, _BLOCK_ROWS)
            packed = self._pack(content(self._rows.encode(part)))
            made += [_number(len(part)), _number(len(packed)), packed, self._sync]
        return b"".join(made)

    def write(self, encoded: bytes) -> None:
        self._file.write(encoded)

    def close(self) -> None:
        self._file.close()


def _text(text: str) -> bytes:
    data = text.encode()
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    """A whole number that is not negative, as Avro has a `long`."""
    rest = value << 1
    made = bytearray()
    while rest > 0x7F:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    made.append(rest)
    return bytes(made)


def avro(options: Options, get_conf: GetConf) -> Columnar:
    """The maker of files. Raises CODEC_SHORT_NAME_NOT_FOUND."""
    name = options.maybe("compression") or AVRO_CODEC.read(get_conf)
    found = _CODECS.get(name.lower())
    if found is None:
        raise IllegalArgumentError.of(
            "CODEC_SHORT_NAME_NOT_FOUND",
            f"Cannot find a short name for the codec {name}.",
            sql_state="42704",
            codecName=name,
        )
    codec, extension, pack = found
    given = options.maybe("avroSchema")
    record, namespace = options.text("recordName"), options.text("recordNamespace")

    def make(path: Path, schema: pa.Schema) -> _AvroFile:
        kind = pa.struct(list(schema))
        text = given if given is not None else to_avro(kind, False, record, namespace).text()
        return _AvroFile(path, encoder(kind, text, False), codec, pack)

    return Columnar(extension, make)
