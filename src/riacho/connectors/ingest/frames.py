"""How events lie on disk: frames in segments.

A log is a folder. Its segments are files named after the offset of their first event, `00000000000000012000.log`; a
segment is frames, one after the other, and a frame is what was committed at once:

    64 bytes    magic, CRC-32 of all that follows it, bytes of the payload, offset of the first event, events
    payload     two Arrow record batches: the events, and the groups that they came in; padded to 64 bytes

A frame that was cut off does not have its length or not its CRC: readers stop before it, the writer cuts it off.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

SUFFIX: Final = ".log"
_MAGIC: Final = b"RIN1"
_HEADER: Final = "<4sIQQI36x"
"""As text: a `struct.Struct` does not travel to Spark's workers."""
_HEADER_BYTES: Final = 64
_CHECKED: Final = 8
"""Where what the CRC covers begins."""
_ALIGNED: Final = 64

HEADERS: Final = pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())]))
TIME: Final = pa.timestamp("us", "UTC")
EVENTS: Final = pa.schema([("key", pa.binary()), ("value", pa.binary())])
GROUPS: Final = pa.schema(
    [
        pa.field("count", pa.int32()),
        pa.field("headers", HEADERS),
        pa.field("time", TIME),
        pa.field("request", pa.string()),
        pa.field("digest", pa.binary()),
        pa.field("request_count", pa.int32()),
    ]
)
"""Events that have their headers in common. The last three: the idempotency key of a request, what its body was, and
how many events it had; in the first of its groups."""


@dataclass(frozen=True)
class LogFrame:
    """Where a frame lies."""

    segment: Path
    position: int
    size: int
    """With header and padding."""
    first: int
    count: int

    @property
    def end(self) -> int:
        """The offset behind its last event."""
        return self.first + self.count


class DamagedLogError(Exception):
    """A frame that was complete once is not what was written."""


def encoded(first: int, events: pa.RecordBatch, groups: pa.RecordBatch) -> bytes:
    """A frame as bytes."""
    payload = b"".join((events.serialize(), groups.serialize()))
    payload += bytes(-len(payload) % _ALIGNED)
    head = bytearray(struct.pack(_HEADER, _MAGIC, 0, len(payload), first, events.num_rows))
    struct.pack_into("<I", head, 4, zlib.crc32(payload, zlib.crc32(head[_CHECKED:])))
    return bytes(head) + payload


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments of a log with their first offsets, in order; none if there is no such folder."""
    try:
        found = [(entry.name, Path(entry.path)) for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    return sorted((int(name.removesuffix(SUFFIX)), path) for name, path in found)


def segment_name(first: int) -> str:
    return f"{first:020}{SUFFIX}"


def walk(segment: Path, position: int = 0) -> Iterator[LogFrame]:
    """The frames of a segment from a position on, up to one that is not all there. Only headers are read.

    Raises FileNotFoundError for a segment that retention has removed.
    """
    with segment.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while position + _HEADER_BYTES <= size:
            magic, _, payload, first, count = struct.unpack(_HEADER, os.pread(file.fileno(), _HEADER_BYTES, position))
            length = _HEADER_BYTES + payload
            if magic != _MAGIC or position + length > size:
                return
            yield LogFrame(segment, position, length, first, count)
            position += length


def is_whole(frame: LogFrame) -> bool:
    """Whether the frame is what was written."""
    with frame.segment.open("rb", buffering=0) as file:
        return _sound(os.pread(file.fileno(), frame.size, frame.position))


def read(
    frames: Sequence[LogFrame], damaged: Callable[[DamagedLogError], None] | None = None
) -> Iterator[tuple[LogFrame, pa.RecordBatch, pa.RecordBatch]]:
    """Frames of one segment with their events and groups, which lie in the file's pages and are not copied.

    `damaged` is told of frames that are left out. Raises DamagedLogError if there is nobody to tell, FileNotFoundError.
    """
    with frames[0].segment.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for frame in frames:
        data = memoryview(mapped)[frame.position : frame.position + frame.size]
        if len(data) != frame.size or not _sound(data):
            error = DamagedLogError(f"{frame.segment} is damaged at byte {frame.position} (offset {frame.first})")
            if damaged is None:
                raise error
            damaged(error)
            continue
        source = pa.BufferReader(pa.py_buffer(data[_HEADER_BYTES:]))
        events = pa.ipc.read_record_batch(pa.ipc.read_message(source), EVENTS)
        groups = pa.ipc.read_record_batch(pa.ipc.read_message(source), GROUPS)
        yield frame, events, groups


def group_of_events(groups: pa.RecordBatch) -> pa.Array:
    """For each event the index of its group."""
    counts = groups["count"].to_numpy()
    return pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts))


def _sound(data: bytes | memoryview) -> bool:
    return len(data) >= _HEADER_BYTES and struct.unpack_from("<I", data, 4)[0] == zlib.crc32(data[_CHECKED:])
