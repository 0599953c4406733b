"""Compressed text files as Hadoop's codecs write them. Files need not be read again to add to them.

gzip and bzip2 files may be several one after the other, so each piece of text is compressed by itself, many at a time.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from riacho.errors import IllegalArgumentError

_BLOCK_BYTES: Final = 256 << 10
"""What Hadoop's block codecs hold at a time (`io.compression.codec.lz4.buffersize`)."""


class Compressor(Protocol):
    """Compresses one file, piece by piece, in order."""

    def add(self, data: bytes) -> bytes:
        """The compressed form of the next piece, or of what came before it."""

    def end(self) -> bytes:
        """What closes the file."""


@dataclass(frozen=True)
class TextCodec:
    """A way to compress text files. `extension` follows that of the format.

    `piece` compresses a piece by itself, from any thread; what it gives is added to the file by a `Compressor`.
    """

    extension: str = ""
    piece: Callable[[bytes], bytes] = bytes
    compressor: Callable[[], Compressor] | None = None


class _Deflate:
    """A zlib stream, which has one end only."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def add(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def end(self) -> bytes:
        return self._stream.flush()


def _gzip(data: bytes) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, 31)
    return stream.compress(data) + stream.flush()


def _blocks(codec: str) -> Callable[[bytes], bytes]:
    """Hadoop's `BlockCompressorStream`: the length of a block, then that of its compressed form, then this."""

    def piece(data: bytes) -> bytes:
        made = []
        for start in range(0, len(data), _BLOCK_BYTES):
            block = data[start : start + _BLOCK_BYTES]
            packed = pa.Codec(codec).compress(block, asbytes=True)
            made.append(struct.pack(">II", len(block), len(packed)) + packed)
        return b"".join(made)

    return piece


TEXT_CODECS: Final[Mapping[str, TextCodec]] = {
    "none": TextCodec(),
    "uncompressed": TextCodec(),
    "gzip": TextCodec(".gz", _gzip),
    "bzip2": TextCodec(".bz2", bz2.compress),
    "deflate": TextCodec(".deflate", bytes, _Deflate),
    "lz4": TextCodec(".lz4", _blocks("lz4_raw")),
    "snappy": TextCodec(".snappy", _blocks("snappy")),
}
"""Spark's names for Hadoop's codecs (`CompressionCodecs.shortCompressionCodecNames`)."""
_CLASSES: Final[Mapping[str, str]] = {
    "org.apache.hadoop.io.compress.gzipcodec": "gzip",
    "org.apache.hadoop.io.compress.bzip2codec": "bzip2",
    "org.apache.hadoop.io.compress.deflatecodec": "deflate",
    "org.apache.hadoop.io.compress.defaultcodec": "deflate",
    "org.apache.hadoop.io.compress.lz4codec": "lz4",
    "org.apache.hadoop.io.compress.snappycodec": "snappy",
}


def text_codec(name: str | None) -> TextCodec:
    """The codec of that name, or of that class of Hadoop's. Raises CODEC_NOT_AVAILABLE."""
    if name is None:
        return TEXT_CODECS["none"]
    key = name.lower()
    codec = TEXT_CODECS.get(_CLASSES.get(key, key))
    if codec is None:
        raise not_available(name, ("bzip2", "deflate", "uncompressed", "snappy", "none", "lz4", "gzip"))
    return codec


def not_available(name: str, codecs: tuple[str, ...]) -> IllegalArgumentError:
    """The error of a compression that a format does not have."""
    listed = ", ".join(codecs)
    return IllegalArgumentError.of(
        "CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION",
        f"The codec {name} is not available. Available codecs are {listed}.",
        sql_state="56038",
        codecName=name,
        availableCodecs=listed,
    )
