"""A run: one immutable file of state rows, sorted by key, that is searched where it lies.

A run is an Arrow IPC file. Its rows are sorted by (`_high`, `_low`, `_seq`): the two words of the key's hash, and a
number that tells apart the rows of one key (always 0 in a store that holds one row per key). Then come `_time`, the
microsecond after which the row is dead (`NEVER` if it lives for ever), `_removed`, true on a row that only says that
the key is gone, and the operator's own columns. The file is memory-mapped: what a search does not touch is never
read, and what it touched the operating system may drop again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.streaming.state.hashing import KeyHash

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
_READ_BYTES = 1 << 22

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


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
    """One record batch of a run with its system columns as arrays, no copies."""

    def __init__(self, batch: pa.RecordBatch, start: int) -> None:
        self.batch = batch
        self.start = start
        self.high, self.low, self.seq, self.time = (batch.column(i).to_numpy() for i in range(4))

    def removed(self) -> Mask:
        return np.asarray(self.batch.column(4).to_numpy(zero_copy_only=False), dtype=np.bool_)


class Run:
    """An open run. Row numbers count through all of its blocks."""

    def __init__(self, info: RunInfo, batches: Sequence[pa.RecordBatch]) -> None:
        self.info = info
        self._blocks: list[_Block] = []
        start = 0
        for batch in batches:
            if batch.num_rows:
                self._blocks.append(_Block(batch, start))
                start += batch.num_rows
        self._first_highs = np.array([block.high[0] for block in self._blocks], dtype=np.uint64)
        self._last_highs = np.array([block.high[-1] for block in self._blocks], dtype=np.uint64)
        self._starts = np.array([block.start for block in self._blocks], dtype=np.int64)

    @classmethod
    def open(cls, folder: Path, info: RunInfo, *, verify: bool = True) -> Run:
        """Map a run's file. Raises DamagedFile if it is not exactly what `info` says."""
        path = folder / info.file
        try:
            if verify and (path.stat().st_size, checksum(path)) != (info.bytes, info.crc32):
                raise DamagedFile(f"{path}: size or checksum differ from the manifest")
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (OSError, pa.ArrowInvalid) as error:
            raise DamagedFile(f"{path}: {error}") from error
        return cls(info, batches)

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
                continue
            first = low_row[hit]
            counts = np.searchsorted(block.high, high[hit], "right") - first
            probe = np.repeat(hit + begin, counts)
            row = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(len(probe))
            same = block.low[row] == keys.low[probe]
            probes.append(probe[same])
            rows.append(row[same] + block.start)
        return _joined(probes), _joined(rows)

    def seq(self, rows: Rows) -> Rows:
        return self._gather("seq", rows)

    def time(self, rows: Rows) -> Rows:
        return self._gather("time", rows)

    def keys(self, rows: Rows) -> KeyHash:
        return KeyHash(self._gather("high", rows).astype(np.uint64), self._gather("low", rows).astype(np.uint64))

    def removed(self, rows: Rows) -> Mask:
        """Which of `rows` are tombstones."""
        if not self.info.removals:
            return np.zeros(len(rows), dtype=np.bool_)
        return np.concatenate([block.removed() for block in self._blocks])[rows]

    def between(self, after: int, through: int) -> Rows:
        """The rows, tombstones included, whose time is in (after, through]."""
        if not len(self._blocks) or self.info.min_time > through or self.info.max_time <= after:
            return np.empty(0, dtype=np.int64)
        return _joined(
            [np.flatnonzero((b.time > after) & (b.time <= through)) + b.start for b in self._blocks],
        )

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """The named columns of `rows`, in that order."""
        if not len(self._blocks):
            raise IndexError("an empty run has no rows")
        if len(self._blocks) == 1:
            return pa.Table.from_batches([self._blocks[0].batch.select(columns).take(pa.array(rows))])
        places = np.searchsorted(self._starts, rows, "right") - 1
        order = np.argsort(places, kind="stable")
        parts = []
        for place in np.unique(places):
            block = self._blocks[place]
            mine = rows[order][places[order] == place] - block.start
            parts.append(block.batch.select(columns).take(pa.array(mine)))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(parts).take(pa.array(back))

    def slices(self, bounds: Sequence[int]) -> Iterator[pa.Table]:
        """The run cut into consecutive parts: part i has the keys with `high` below bounds[i] and not below the one
        before.
        """
        cursor = 0
        total = self.info.rows
        for bound in bounds:
            end = total if bound > int(np.iinfo(np.uint64).max) else self._row_at(np.uint64(bound))
            yield self._slice(cursor, end)
            cursor = end

    def high_at(self, row: int) -> int:
        """The first hash word of a row; where to cut a run into equal parts."""
        return int(self._gather("high", np.array([row]))[0])

    def blocks(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """The record batches and the number of the first row of each."""
        for block in self._blocks:
            yield block.batch, block.start

    def _row_at(self, high: np.uint64) -> int:
        for block in self._blocks:
            if block.high[-1] >= high:
                return block.start + int(np.searchsorted(block.high, high, "left"))
        return self.info.rows

    def _slice(self, start: int, end: int) -> pa.Table:
        parts = []
        for block in self._blocks:
            low, high = max(start, block.start), min(end, block.start + block.batch.num_rows)
            if low < high:
                parts.append(block.batch.slice(low - block.start, high - low))
        schema = self._blocks[0].batch.schema if self._blocks else None
        return pa.Table.from_batches(parts, schema=schema)

    def _gather(self, name: str, rows: Rows) -> Rows:
        if len(self._blocks) == 1:
            values: Rows = getattr(self._blocks[0], name)[rows]
            return values
        places = np.searchsorted(self._starts, rows, "right") - 1
        gathered: Rows = np.empty(len(rows), dtype=np.uint64 if name in {"high", "low"} else np.int64)
        for place in np.unique(places):
            mine = places == place
            block = self._blocks[place]
            gathered[mine] = getattr(block, name)[rows[mine] - block.start]
        return gathered


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
            for batch in table.combine_chunks().to_batches(max_chunksize=BLOCK_ROWS):
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


def checksum(path: Path) -> int:
    """CRC-32 of a file's content."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
