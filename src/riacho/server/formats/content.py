r"""A text file as decompressed blocks of whole lines.

Spark's line reader ends a line at `\n`, `\r\n` or a lone `\r`. Here every line end becomes `\n` when a block is
read, so that everything behind this module knows one line end. Source: `org.apache.hadoop.util.LineReader`.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.server.formats.inputs import input_of
from riacho.storage import is_object

BLOCK_BYTES: Final = 4 << 20
"""How much of a file is decoded at a time: what is worked out from it stays close to the processor and is made often
enough to be made in the same memory; each step costs little beside its work."""

_TAIL_BYTES: Final = 1 << 14
"""How much of a block is looked at for the end of its last line."""

_CODECS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_UNREADABLE: Final = {".snappy", ".deflate", ".xz", ".lz4"}
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Lines:
    r"""The lines of a block: line i is `data[starts[i]:ends[i]]`, without its line end.

    Lines follow each other in `data`, with exactly one `\n` (or blank lines, which are left out) between them.
    """

    data: bytes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: bytes) -> Lines:
        r"""All lines of `data` that are not empty; `data` uses `\n` alone."""
        buffer = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(buffer == ord("\n"))
        starts = np.concatenate(([0], breaks + 1))
        ends = np.concatenate((breaks, [len(data)]))
        filled = ends > starts
        return cls(data, starts, ends) if filled.all() else cls(data, starts[filled], ends[filled])

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]]

    def after(self, index: int) -> Lines:
        """The lines behind that one."""
        return Lines(self.data, self.starts[index + 1 :], self.ends[index + 1 :])

    def span(self, low: int, high: int) -> memoryview:
        """The text of the lines from `low` up to `high`, not copied."""
        return memoryview(self.data)[self.starts[low] : self.ends[high - 1]]


def read_whole(path: str, encoding: str = "UTF-8") -> bytes:
    """All of a file, decompressed, in UTF-8. Bytes that are no text in UTF-8 stay as they are.

    Raises UnsupportedOperationError for a compression that cannot be read, OSError.
    """
    with _open(path) as stream:
        data: bytes = stream.read()
    return _to_utf8(data, encoding)


def read_blocks(path: str, encoding: str = "UTF-8") -> Iterator[bytes]:
    r"""A file as blocks of whole lines, their line ends turned into `\n`; the last line may lack one.

    A file in another encoding than UTF-8 is one block. Raises as `read_whole`.
    """
    if not is_utf8(encoding):
        yield _unify_breaks(read_whole(path, encoding))
        return
    plain = _codec(path) is None and not is_object(path)
    blocks = _blocks_of_file(path) if plain else _blocks_of_stream(path)
    for block in blocks:
        yield _unify_breaks(block)


def _blocks_of_file(path: str) -> Iterator[bytes]:
    """Blocks of whole lines, each read to where its last line ends; only what shows that end is read twice."""
    with Path(path).open("rb", buffering=0) as file:
        number = file.fileno()
        at = len(_BOM) if os.pread(number, len(_BOM), 0) == _BOM else 0
        length, looked = BLOCK_BYTES, min(BLOCK_BYTES, _TAIL_BYTES)
        while True:
            tail = os.pread(number, looked, at + length - looked)
            if len(tail) < looked:
                break
            cut = _last_break(tail)
            if cut:
                length -= looked - cut
                yield os.pread(number, length, at)
                at += length
                length, looked = BLOCK_BYTES, min(BLOCK_BYTES, _TAIL_BYTES)
            elif looked < length:
                looked = length
            else:
                length = looked = 2 * length
        # No room is made for more than there is.
        length = max(0, min(length, os.fstat(number).st_size - at))
        if last := os.pread(number, length, at):
            yield last


def _blocks_of_stream(path: str) -> Iterator[bytes]:
    """The same of a file that cannot be read from any place."""
    rest = b""
    first = True
    with _open(path) as stream:
        while data := stream.read(BLOCK_BYTES):
            block: bytes = rest + data if rest else data
            if first:
                first, block = False, block.removeprefix(_BOM)
            cut = _last_break(block)
            block, rest = block[:cut], block[cut:]
            if block:
                yield block
    if rest:
        yield rest


def split_records(path: str, separator: str, encoding: str = "UTF-8") -> list[bytes]:
    """The records of a file whose lines end with `separator` and nothing else, each in UTF-8.

    Raises as `read_whole`.
    """
    with _open(path) as stream:
        data: bytes = stream.read()
    records = data.removeprefix(_BOM).split(separator.encode(encoding))
    return [_to_utf8(record, encoding) for record in (records if records[-1] else records[:-1])]


def check_encoding(name: str) -> str:
    """`name`, if Python can decode it. Raises IllegalArgumentError otherwise."""
    try:
        codecs.lookup(name)
    except LookupError:
        raise IllegalArgumentError(
            f"The encoding {name!r} is not known; use a name such as UTF-8 or ISO-8859-1."
        ) from None
    return name


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "ascii"}


def is_text(data: bytes | memoryview) -> bool:
    """Whether these bytes are text in UTF-8."""
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        # Twenty times as fast as to decode them, and other threads may go on.
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _open(path: str) -> IO[bytes]:
    # Unbuffered: a block is read in one call into memory of its own size.
    codec = _codec(path)
    if not is_object(path):
        return Path(path).open("rb", buffering=0) if codec is None else pa.input_stream(path, compression=codec)
    stream = input_of(path).stream()
    return cast(IO[bytes], stream) if codec is None else pa.input_stream(stream, compression=codec)


def _codec(path: str) -> str | None:
    """How a file is compressed, by its name. Raises UnsupportedOperationError for what cannot be read."""
    suffix = Path(path).suffix.lower()
    if suffix in _UNREADABLE:
        raise UnsupportedOperationError(
            f"{path} is compressed as {suffix}, which riacho cannot read; use .gz, .bz2 or .zst."
        )
    return _CODECS.get(suffix)


def _to_utf8(data: bytes, encoding: str) -> bytes:
    return data if is_utf8(encoding) else data.decode(encoding, "replace").encode()


def _last_break(block: bytes) -> int:
    r"""Where the last whole line of `block` ends; 0 if it has no line end.

    A `\r` at the very end is no line end yet: the next block may begin with the `\n` that belongs to it.
    """
    body = block[:-1] if block.endswith(b"\r") else block
    return max(body.rfind(b"\n"), body.rfind(b"\r")) + 1


def _unify_breaks(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
