"""A file that is about to be decoded, on a disk or in an object store: looked at once, with one request."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from riacho.storage import ObjectPath, place_at
from riacho.storage.ranges import RangeFile

_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Input:
    """A file: its path, its size in bytes, when it was last modified (ms since the epoch).

    `head`: how it begins, `place`: where it is, `version`: what tells its content from another, in an object store.
    """

    path: str
    size: int
    modified_ms: int
    head: bytes = b""
    place: ObjectPath | None = None
    version: str = ""

    def stream(self) -> io.BufferedIOBase:
        """Its bytes from the beginning. Raises OSError, StorageError."""
        if self.place is None:
            return Path(self.path).open("rb")
        ranges = self.ranges()
        return io.BytesIO(self.head) if ranges is None else io.BufferedReader(ranges, _BUFFER_BYTES)

    def arrow(self) -> str | pa.NativeFile:
        """What Arrow's readers read it from."""
        if self.place is None:
            return self.path
        ranges = self.ranges()
        return pa.BufferReader(self.head) if ranges is None else pa.PythonFile(ranges, mode="r")

    def ranges(self) -> RangeFile | None:
        """The file for who wants to tell which ranges come next; None where nothing is won by that."""
        if self.place is None or len(self.head) == self.size:
            return None
        return RangeFile(self.place, self.size, self.head, self.version)


def input_of(path: str) -> Input:
    """The file at a path, local or `s3a://…`. Raises FileNotFoundError, StorageError."""
    place = place_at(path)
    if isinstance(place, Path):
        found = place.stat()
        return Input(path, found.st_size, found.st_mtime_ns // 1_000_000)
    looked = place.look()
    return Input(path, looked.st_size, looked.st_mtime_ns // 1_000_000, looked.head, place, looked.version)


def size_of(path: str) -> int:
    """How many bytes a file has. Raises FileNotFoundError, StorageError."""
    return place_at(path).stat().st_size


def column_ranges(metadata: pq.FileMetaData, group: int, columns: list[str]) -> list[tuple[int, int]]:
    """Where the columns of a row group lie in a Parquet file: first byte, and the one after the last."""
    wanted = set(columns)
    row_group = metadata.row_group(group)
    found = []
    for at in range(row_group.num_columns):
        chunk = row_group.column(at)
        if chunk.path_in_schema.partition(".")[0] in wanted:
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            start = min(start, chunk.data_page_offset)
            found.append((start, start + chunk.total_compressed_size))
    return found
