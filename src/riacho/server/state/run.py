"""A run: one immutable file of state rows, sorted by key, that is searched where it lies.

A run is an Arrow IPC file. Its rows are sorted by (`_high`, `_low`, `_seq`): the two words of the key's hash, and a
number that tells apart the rows of one key (always 0 in a store that holds one row per key). Then come `_time`, the
microsecond after which the row is dead (`NEVER` if it lives for ever), `_removed`, true on a row that only says that
the key is gone, and the operator's own columns. The file is memory-mapped and lies there in blocks: what a search does
not touch is never read, and what it touched a `BlockPool` counts and, where there is a bound, lets go of.
"""

from __future__ import annotations

import mmap
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.server.state.hashing import KeyHash
from riacho.server.state.memory import BlockPool

NEVER = np.iinfo(np.int64).max
"""The `_time` of a row that no watermark removes."""

SYSTEM_FIELDS = (
    pa.field("_high", pa.uint64(), nullable=False),
    pa.field("_low", pa.uint64(), nullable=False),
    pa.field("_seq", pa.int64(), nullable=False),
    pa.field("_time", pa.int64(), nullable=False),
    pa.field("_removed", pa.bool_(), nullable=False),
)
BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 1 << 24
"""A block has no more rows and not much more bytes than this, unless a single row is larger."""
_READ_BYTES = 1 << 22

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Place = tuple[int, int, int]
"""(`_high`, `_low`, `_seq`): where a row stands in the order of a run."""


class DamagedFile(Exception):  # noqa: N818
    """A state file is missing, cut short or altered."""


@dataclass(frozen=True)
class RunInfo:
    """What a manifest says of a run. `first_version` to `last_version`: the batches' changes that it holds."""

    file: str
    rows: int
    bytes: int
    crc32: int
    first_version: int
    last_version: int
    min_time: int
    max_time: int
    removals: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Block:
    """One record batch of a run with its system columns as arrays, no copies. See `memory.MappedBlock`."""

    def __init__(self, batch: pa.RecordBatch, start: int, mapping: mmap.mmap, base: int) -> None:
        self.batch = batch
        self.start = start
        self.high, self.low, self.seq, self.time = (batch.column(i).to_numpy() for i in range(4))
        buffers = [
            buffer for column in batch.columns for buffer in column.buffers() if buffer is not None and buffer.size
        ]
        begin = min(buffer.address for buffer in buffers) - base
        end = max(buffer.address + buffer.size for buffer in buffers) - base
        self._mapping = mapping
        self._begin = begin - begin % mmap.PAGESIZE
        self.bytes = end - self._begin
        self.resident = False
        self.forgotten = False

    @property
    def stop(self) -> int:
        return self.start + len(self.high)

    def removed(self, rows: Rows) -> Mask:
        """Which of the block's `rows` are tombstones, read from the column's bits."""
        column = self.batch.column(4)
        bits = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        places = rows + column.offset
        return np.asarray((bits[places >> 3] >> (places & 7).astype(np.uint8)) & 1, dtype=np.bool_)

    def place(self, row: int) -> Place:
        return int(self.high[row]), int(self.low[row]), int(self.seq[row])

    def row_at(self, bound: Place) -> int:
        """The first row of the block that does not stand before `bound`."""
        begin, end = 0, len(self.high)
        for column, value in zip((self.high, self.low, self.seq), bound, strict=True):
            part = column[begin:end]
            wanted = part.dtype.type(value)
            end = begin + int(np.searchsorted(part, wanted, "right"))
            begin += int(np.searchsorted(part, wanted, "left"))
        return int(begin)

    def let_go(self) -> None:
        self._mapping.madvise(mmap.MADV_DONTNEED, self._begin, self.bytes)


class Run:
    """An open run. Row numbers count through all of its blocks. `pool`: where its blocks count as touched."""

    def __init__(self, info: RunInfo, blocks: Sequence[_Block], pool: BlockPool) -> None:
        self.info = info
        self._blocks = blocks
        self._pool = pool
        self._first_highs = np.array([block.high[0] for block in blocks], dtype=np.uint64)
        self._last_highs = np.array([block.high[-1] for block in blocks], dtype=np.uint64)
        self._last_places = [block.place(-1) for block in blocks]
        self._starts = np.array([block.start for block in blocks], dtype=np.int64)
        for block in blocks:
            block.let_go()

    @classmethod
    def open(cls, folder: Path, info: RunInfo, pool: BlockPool, *, verify: bool = True) -> Run:
        """Map a run's file. Raises DamagedFile if it is not exactly what `info` says."""
        path = folder / info.file
        try:
            if verify and (path.stat().st_size, checksum(path)) != (info.bytes, info.crc32):
                raise DamagedFile(f"{path}: size or checksum differ from the manifest")
            with path.open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            whole = pa.py_buffer(mapping)
            blocks: list[_Block] = []
            with pa.ipc.open_file(pa.BufferReader(whole)) as reader:
                for index in range(reader.num_record_batches):
                    batch = reader.get_batch(index)
                    if batch.num_rows:
                        blocks.append(_Block(batch, blocks[-1].stop if blocks else 0, mapping, whole.address))
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped, or it is not Arrow
            raise DamagedFile(f"{path}: {error}") from error
        return cls(info, blocks, pool)

    @property
    def resident_bytes(self) -> int:
        """Size of the blocks that were touched and not let go of."""
        return sum(block.bytes for block in self._blocks if block.resident)

    def close(self) -> None:
        """The run is no longer part of the state; whoever still reads it may do so to the end."""
        self._pool.forget(self._blocks)

    def find(self, keys: KeyHash) -> tuple[Rows, Rows]:
        """Where `keys` (sorted by `high`) stand: pairs of (position in `keys`, row of the run), tombstones included."""
        probes: list[Rows] = []
        rows: list[Rows] = []
        begins = np.searchsorted(keys.high, self._first_highs, "left")
        ends = np.searchsorted(keys.high, self._last_highs, "right")
        for block, begin, end in zip(self._blocks, begins, ends, strict=True):
            if begin == end:
                continue
            high = keys.high[begin:end]
            low_row = np.searchsorted(block.high, high, "left")
            hit = np.flatnonzero(block.high[np.minimum(low_row, len(block.high) - 1)] == high)
            if not len(hit):
                self._pool.touch(block)
                continue
            first = low_row[hit]
            counts = np.searchsorted(block.high, high[hit], "right") - first
            probe = np.repeat(hit + begin, counts)
            row = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(len(probe))
            same = block.low[row] == keys.low[probe]
            probes.append(probe[same])
            rows.append(row[same] + block.start)
            self._pool.touch(block)
        return _joined(probes), _joined(rows)

    def seq(self, rows: Rows) -> Rows:
        return self._gather("seq", rows)

    def time(self, rows: Rows) -> Rows:
        return self._gather("time", rows)

    def keys(self, rows: Rows) -> KeyHash:
        return KeyHash(self._gather("high", rows).astype(np.uint64), self._gather("low", rows).astype(np.uint64))

    def removed(self, rows: Rows) -> Mask:
        """Which of `rows` are tombstones."""
        found = np.zeros(len(rows), dtype=np.bool_)
        if self.info.removals:
            for block, mine in self._by_block(rows):
                found[mine] = block.removed(rows[mine] - block.start)
        return found

    def between(self, after: int, through: int) -> Rows:
        """The rows, tombstones included, whose time is in (after, through]."""
        found: list[Rows] = []
        if self.info.min_time <= through and self.info.max_time > after:
            for block in self._blocks:
                found.append(np.flatnonzero((block.time > after) & (block.time <= through)) + block.start)
                self._pool.touch(block)
        return _joined(found)

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """The named columns of `rows`, in that order. Raises IndexError in an empty run."""
        if not len(self._blocks):
            raise IndexError("an empty run has no rows")
        parts, places = [], []
        for block, mine in self._by_block(rows):
            parts.append(block.batch.select(columns).take(pa.array(rows[mine] - block.start)))
            places.append(mine)
            self._pool.touch(block)
        if len(parts) == 1:
            return pa.Table.from_batches(parts)
        back = np.empty(len(rows), dtype=np.int64)
        back[_joined(places)] = np.arange(len(rows))
        return pa.Table.from_batches(parts, self._blocks[0].batch.select(columns).schema).take(pa.array(back))

    def slices(self, bounds: Sequence[Place | None]) -> Iterator[pa.Table]:
        """The run cut into consecutive parts: part i ends before the first row at or behind bounds[i], or with None at
        the end. A part may be read until the next one is asked for.
        """
        cursor = 0
        for bound in bounds:
            end = self.info.rows if bound is None else self.row_at(bound)
            inside = [block for block in self._blocks if block.start < end and block.stop > cursor]
            yield pa.Table.from_batches(
                [b.batch.slice(max(cursor - b.start, 0), min(end, b.stop) - max(cursor, b.start)) for b in inside],
                schema=self._blocks[0].batch.schema if self._blocks else None,
            )
            for block in inside:
                self._pool.touch(block)
            cursor = end

    def place(self, row: int) -> Place:
        """Where a row stands; where to cut runs into parts."""
        block = self._blocks[int(np.searchsorted(self._starts, row, "right")) - 1]
        place = block.place(row - block.start)
        self._pool.touch(block)
        return place

    def row_at(self, bound: Place) -> int:
        """The first row that does not stand before `bound`."""
        index = bisect_left(self._last_places, bound)
        if index == len(self._blocks):
            return self.info.rows
        block = self._blocks[index]
        row = block.start + block.row_at(bound)
        self._pool.touch(block)
        return row

    def _gather(self, name: str, rows: Rows) -> npt.NDArray[Any]:
        gathered = np.empty(len(rows), dtype=np.uint64 if name in {"high", "low"} else np.int64)
        for block, mine in self._by_block(rows):
            gathered[mine] = getattr(block, name)[rows[mine] - block.start]
            self._pool.touch(block)
        return gathered

    def _by_block(self, rows: Rows) -> Iterator[tuple[_Block, Rows]]:
        """The blocks that `rows` lie in, and for each the positions in `rows` of those that do."""
        if len(self._blocks) == 1:
            yield self._blocks[0], np.arange(len(rows))
            return
        places = np.searchsorted(self._starts, rows, "right") - 1
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(self._blocks)))
        for block, begin, end in zip(self._blocks, (0, *ends[:-1]), ends, strict=True):
            if begin < end:
                yield block, order[begin:end]


def write_run(
    folder: Path, file: str, schema: pa.Schema, tables: Iterable[pa.Table], versions: tuple[int, int]
) -> RunInfo:
    """Write sorted `tables` as one run, whole or not at all. `versions`: the first and last whose changes it has."""
    rows, removals = 0, 0
    min_time, max_time = int(NEVER), int(np.iinfo(np.int64).min)
    temporary = folder / f".{file}.tmp"
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for table in tables:
            if not table.num_rows:
                continue
            time = table.column("_time").to_numpy()
            min_time, max_time = min(min_time, int(time.min())), max(max_time, int(time.max()))
            removals += int(np.count_nonzero(table.column("_removed").to_numpy()))
            rows += table.num_rows
            for batch in table.combine_chunks().to_batches(max_chunksize=block_rows(table.num_rows, table.nbytes)):
                writer.write_batch(batch)
    info = RunInfo(
        file=file,
        rows=rows,
        bytes=temporary.stat().st_size,
        crc32=checksum(temporary),
        first_version=versions[0],
        last_version=versions[1],
        min_time=min_time,
        max_time=max_time,
        removals=removals,
    )
    temporary.rename(folder / file)
    return info


def block_rows(rows: int, size: int) -> int:
    """How many rows make a block, given that `rows` of them take `size` bytes."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES * rows // max(size, 1)))


def checksum(path: Path) -> int:
    """CRC-32 of a file's content."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
