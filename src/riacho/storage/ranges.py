"""Files of an object store, read in ranges: what a Parquet reader needs and no more, with few requests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from riacho.storage.places import ObjectPath

SMALL_BYTES: Final = 8 << 20
"""Objects up to this size are read whole, in one request."""
_BLOCK_BYTES: Final = 1 << 20
_AHEAD_BYTES: Final = 8 << 20
_AT_ONCE: Final = 8
_TAIL_BYTES: Final = 64 << 10
_COALESCED_BYTES: Final = 1 << 20


class RangeFile(io.RawIOBase):
    """An object as a file that can be sought in. Not for several threads at once.

    Who reads on and on gets larger and larger blocks; `prefetch` gets what is known to be wanted, several ranges at
    once. `head`: its first bytes, where they have been fetched. `version`: of which content it must be, where
    that may change. Raises as `ObjectPath.read_range`.
    """

    def __init__(self, place: ObjectPath, size: int, head: bytes = b"", version: str = "") -> None:
        super().__init__()
        self._place = place
        self._size = size
        self._version = version
        self._position = 0
        self._block = head
        self._block_start = 0
        self._next_bytes = _BLOCK_BYTES
        self._kept: list[tuple[int, bytes]] = []

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        """How many bytes it has; pyarrow asks for it."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Get these ranges (start, end) now, and keep them until the next call."""
        store = self._place.store
        merged = _merged(ranges)
        if not merged:
            self._kept = []
            return
        if self._version:
            self._kept = self._of_version(merged)
            return
        with self._place.asking("read"):
            found = store.get_ranges(
                self._place.key,
                starts=[start for start, _ in merged],
                ends=[end for _, end in merged],
                coalesce=_COALESCED_BYTES,
            )
        self._kept = [(start, bytes(data)) for (start, _), data in zip(merged, found, strict=True)]

    def _of_version(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, bytes]]:
        with ThreadPoolExecutor(min(len(ranges), _AT_ONCE), thread_name_prefix="riacho-ranges") as pool:
            found = pool.map(lambda span: self._place.read_range(span[0], span[1], self._version), ranges)
            return [(start, data) for (start, _), data in zip(ranges, found, strict=True)]

    def readall(self) -> bytes:
        return self.read(-1)

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._size if size is None or size < 0 else min(self._position + size, self._size)
        start = self._position
        if start >= end:
            return b""
        data = self._from_kept(start, end) or self._from_block(start, end)
        self._position = start + len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _from_kept(self, start: int, end: int) -> bytes | None:
        for first, data in self._kept:
            if first <= start and end <= first + len(data):
                return data[start - first : end - first]
        return None

    def _from_block(self, start: int, end: int) -> bytes:
        block_end = self._block_start + len(self._block)
        if self._block_start <= start and end <= block_end:
            return self._block[start - self._block_start : end - self._block_start]
        if start == block_end or (self._block_start <= start < block_end):
            self._next_bytes = min(self._next_bytes * 2, _AHEAD_BYTES)
        else:
            self._next_bytes = _BLOCK_BYTES
        first = start
        if end == self._size and end - start < _TAIL_BYTES:
            first = max(0, self._size - _TAIL_BYTES)  # the end of a file is asked for twice: its length, its footer
        last = min(self._size, max(end, start + self._next_bytes))
        self._block = self._place.read_range(first, last, self._version)
        self._block_start = first
        return self._block[start - first : end - first]


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same ranges without overlaps, those that are close to each other as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + _COALESCED_BYTES // 4:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > start:
            merged.append((start, end))
    return merged
