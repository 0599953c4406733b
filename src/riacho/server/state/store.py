"""Keyed rows in the checkpoint, versioned by batch.

A store is a stack of sorted runs (see `run`), oldest at the bottom. A batch adds one run with its changes on top; a
search looks from the top down, and the newest row of a key counts. Runs are merged in the background (see
`compaction`). So the work of a batch follows the keys it touches: it searches them in a few sorted files and writes
them once.

    <folder>/<version>.json       the manifest: which runs make up this version, with sizes and checksums
    <folder>/<version>.arrow      the changes that led to this version
    <folder>/<a>-<b>.<x>.arrow    the merged changes of versions a to b; from 1 on, a snapshot

Version N+1 is what batch N leaves; version 0 is empty and has no files. Files are written under another name and
renamed, the manifest last, so a version is there whole or not at all, and files of older versions are never touched.
In an object store they are uploaded in the same order (see `places`).
Old versions go when `retain` newer ones are committed.

**Eviction costs nothing.** Each row carries a time, each version a floor: rows whose time is at or below the floor
are dead. A watermark that moves up raises the floor; compaction leaves the dead behind, and a run that is dead
altogether is dropped without being read. For this to be right a row must never be replaced by one with an earlier
time.

**Damage.** Files are checked against the manifest when a version is restored. A damaged one is replaced by what an
older version and the changes since then still tell; if they do not, restoring fails and says which file it misses.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.errors import SparkError, SparkGeneralError
from riacho.server.state import compaction
from riacho.server.state.hashing import KeyHash, members
from riacho.server.state.memory import BlockPool
from riacho.server.state.places import StatePlace, state_place
from riacho.server.state.run import (
    BLOCK_ROWS,
    SYSTEM_FIELDS,
    DamagedFile,
    Mask,
    Place,
    Rows,
    Run,
    RunInfo,
    block_rows,
    write_run,
)
from riacho.storage import Place as StoragePlace
from riacho.storage import carried

RETAIN = 100
BEGINNING = int(np.iinfo(np.int64).min)
"""A floor under which nothing lies."""
_INLINE_MERGE_ROWS = 100_000


@dataclass(frozen=True)
class Found:
    """State rows that a search found, each one alive.

    `probe`: for each row the position of its key among those searched for, ascending. `seq`, `time`: its number and its
    time. `keys`: its key's hash. The operator's columns asked for, `schema`, are read from the runs when they are
    wanted: all of them as `table`, or in `blocks` where they may be more than should be in memory.
    """

    probe: Rows
    keys: KeyHash
    seq: Rows
    time: Rows
    schema: pa.Schema
    _runs: Sequence[Run]
    _run: npt.NDArray[np.int16]
    """For each row the number of the run that has it."""
    _row: Rows

    def __len__(self) -> int:
        return len(self.seq)

    @cached_property
    def table(self) -> pa.Table:
        return self._take(0, len(self))

    def blocks(self) -> Iterator[pa.Table]:
        """The table in consecutive parts, each about as large as a block of a run."""
        rows = sum(run.info.rows for run in self._runs)
        step = block_rows(rows, sum(run.info.bytes for run in self._runs))
        for start in range(0, len(self), step):
            yield self._take(start, start + step)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows."""
        return self.select([name]).table.column(0)

    def select(self, columns: Sequence[str]) -> Found:
        """The same rows with some of the columns."""
        return replace(self, schema=pa.schema([self.schema.field(name) for name in columns]))

    def filter(self, keep: Mask) -> Found:
        rows = np.flatnonzero(keep)
        return replace(
            self,
            probe=self.probe[rows],
            keys=self.keys.take(rows),
            seq=self.seq[rows],
            time=self.time[rows],
            _run=self._run[rows],
            _row=self._row[rows],
        )

    def _take(self, start: int, stop: int) -> pa.Table:
        run, row = self._run[start:stop], self._row[start:stop]
        if not self.schema.names:
            return pa.table({})
        parts, places = [], []
        for number in np.unique(run):
            mine = np.flatnonzero(run == number)
            parts.append(self._runs[number].take(row[mine], self.schema.names).cast(self.schema))
            places.append(mine)
        if len(parts) <= 1:
            return parts[0] if parts else self.schema.empty_table()
        back = np.empty(len(row), dtype=np.int64)
        back[np.concatenate(places)] = np.arange(len(row))
        return pa.concat_tables(parts).take(pa.array(back))


@dataclass(frozen=True)
class Changes:
    """Rows to put: one per (key, seq), replacing what stood there. `removed` marks those that only take away."""

    keys: KeyHash
    seq: Rows
    time: Rows
    table: pa.Table
    removed: Mask | None = None

    def __len__(self) -> int:
        return len(self.seq)


@dataclass(frozen=True)
class Manifest:
    """What makes up a version: `runs` from oldest to newest, and `changes`, the run that this version added."""

    version: int
    rows: int
    floor: int
    runs: tuple[RunInfo, ...]
    changes: RunInfo | None
    schema: str

    @property
    def files(self) -> set[str]:
        return {run.file for run in (*self.runs, *((self.changes,) if self.changes else ()))}


class StateStore:
    """One store of one stateful operator. Used by one thread, the query's own.

    `schema`: the operator's columns. `unique`: one row per key (all `seq` are 0), which makes searches stop early.
    `pool`: what bounds the memory of this store, perhaps with others; by default nothing does.
    """

    def __init__(
        self,
        place: StoragePlace,
        schema: pa.Schema,
        *,
        unique: bool,
        retain: int = RETAIN,
        pool: BlockPool | None = None,
    ) -> None:
        self._place = state_place(place)
        self._folder = self._place.folder
        self._schema = schema
        self._file_schema = pa.schema([*SYSTEM_FIELDS, *schema])
        self._unique = unique
        self._retain = retain
        self._pool = pool if pool is not None else BlockPool()
        self._runs: list[Run] = []
        self._manifest = self._empty()
        self._kept: dict[int, set[str]] = {}
        self._references: Counter[str] = Counter()
        self._executor: ThreadPoolExecutor | None = None
        self._merging: tuple[list[Run], Future[Run]] | None = None
        self._merged: list[tuple[list[Run], Run]] = []

    @property
    def version(self) -> int:
        return self._manifest.version

    @property
    def rows(self) -> int:
        """How many rows are alive, as the operator counts them."""
        return self._manifest.rows

    @property
    def floor(self) -> int:
        return self._manifest.floor

    @property
    def bytes(self) -> int:
        """Size of the files of this version."""
        return sum(run.info.bytes for run in self._runs)

    @property
    def resident_bytes(self) -> int:
        """How much of that is in memory, at most."""
        return sum(run.resident_bytes for run in self._runs)

    @property
    def files(self) -> int:
        """How many files this version is made of."""
        return len(self._runs)

    def find(self, keys: KeyHash, columns: Sequence[str] | None = None) -> Found:
        """The live rows of `keys`; keys need not be distinct or sorted. `columns`: all if None."""
        order = np.argsort(keys.high)
        pending = order
        parts: list[tuple[Rows, Run, Rows]] = []
        for run in reversed(self._runs):
            probe, rows = run.find(keys.take(pending))
            if not len(probe):
                continue
            parts.append((pending[probe], run, rows))
            if self._unique:
                found = np.zeros(len(pending), dtype=np.bool_)
                found[probe] = True
                pending = pending[~found]
                if not len(pending):
                    break
        return self._collect(parts, columns)

    def leaving(
        self, through: int, columns: Sequence[str] | None = None, *, but: KeyHash | None = None
    ) -> Iterator[Found]:
        """The live rows whose time is at or before `through`, except those of the keys `but`.

        In parts of about a block, with all rows of a key in one; their `probe` means nothing. To be read before the
        next `write`. Takes memory for one part, and eight bytes for each row found.
        """
        runs = self._dying(through)
        for begin, end in _ranges(math.ceil(sum(len(rows) for _, rows in runs) / BLOCK_ROWS)):
            bounds = [(run.row_at(begin), run.row_at(end)) for run, _ in runs]
            inside = [
                (run, rows[slice(*np.searchsorted(rows, bound))])
                for (run, rows), bound in zip(runs, bounds, strict=True)
            ]
            yield self._leaving(inside, columns, but)

    def alive(self) -> Iterator[pa.Table]:
        """The operator's columns of all rows that are alive, sorted by key and number, in parts of about a block.

        To be read before the next `write`.
        """
        if self._runs:
            for part in compaction.merge(self._runs, floor=self.floor, oldest=True, unique=self._unique):
                yield part.select(self._schema.names)

    def write(self, version: int, changes: Changes | None, *, rows: int, floor: int) -> None:
        """Make `version` out of the current one: `changes` on top, dead below `floor`, `rows` alive altogether.

        `floor`: microseconds, as in the rows' times. When this returns the version is on disk whole. Writing a version
        again replaces it. Raises OSError if the disk refuses, DamagedFile if a new file cannot be read back.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._adopt_merged()
        delta: RunInfo | None = None
        if changes is not None and len(changes):
            file = self._place.run_name(f"{version}.arrow")
            delta = write_run(self._folder, file, self._file_schema, [self._sorted(changes)], (version, version))
            self._place.keep(file)
            self._runs.append(Run.open(self._folder, delta, self._pool, verify=False))
        # The newest run that is dead below the floor may hide an older row only if that is dead as well.
        self._use([run for run in self._runs if run.info.max_time > floor])
        self._manifest = Manifest(version, rows, floor, tuple(run.info for run in self._runs), delta, str(self._schema))
        self._write_manifest()

    def committed(self, version: int) -> None:
        """`version` will not be made again: start merging what is due, and let go of versions that are too old."""
        self._start_merge()
        for old in [kept for kept in self._kept if kept <= version - self._retain]:
            self._forget(old)

    def restore(self, version: int) -> None:
        """Take up `version`. Raises SparkError if it is not there whole and cannot be rebuilt."""
        self._abandon_merge()
        self._use([])
        self._manifest = self._empty()
        manifests = self._load_manifests()
        if version:
            self._manifest, self._runs = self._recover(version, manifests)
        # They are of batches that were cut off and are made again. Another server may be making one just now.
        for newer in [kept for kept in manifests if kept > version]:
            if self._place.alone:
                self._place.remove([f"{newer}.json"])
            del manifests[newer]
        self._kept = {kept: manifest.files for kept, manifest in manifests.items() if manifest is not None}
        self._references = Counter(file for files in self._kept.values() for file in files)
        self._remove_strays()

    def close(self) -> None:
        self._abandon_merge()
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None
        self._use([])
        self._place.close()

    def _use(self, runs: list[Run]) -> None:
        """Have `runs` make up the state from now on."""
        for run in self._runs:
            if run not in runs:
                run.close()
        self._runs = runs

    def _dying(self, through: int) -> list[tuple[Run, Rows]]:
        """For each run from the newest the rows above the floor and at or before `through`."""
        if through <= self.floor:
            return []
        return [(run, run.between(self.floor, through)) for run in reversed(self._runs)]

    def _leaving(self, dying: Sequence[tuple[Run, Rows]], columns: Sequence[str] | None, but: KeyHash | None) -> Found:
        """Those of the rows that nothing newer hides, and that are not of the keys `but`."""
        parts: list[tuple[Rows, Run, Rows]] = []
        for age, (run, rows) in enumerate(dying):
            if len(rows):
                keys = run.keys(rows)
                hidden = self._hidden(run, rows, keys, age)
                if but is not None:
                    hidden |= members(keys, but)
                visible = rows[~hidden]
                parts.append((np.zeros(len(visible), dtype=np.int64), run, visible))
        return self._collect(parts, columns, newest_only=False)

    def _collect(
        self, parts: list[tuple[Rows, Run, Rows]], columns: Sequence[str] | None, *, newest_only: bool = True
    ) -> Found:
        """Rows found per run, newest run first, made into one answer: the newest of each (probe, seq), if alive."""
        schema = self._schema if columns is None else pa.schema([self._schema.field(name) for name in columns])
        runs = [run for _, run, _ in parts]
        probe = _joined([probe for probe, _, _ in parts])
        row = _joined([rows for _, _, rows in parts])
        number = np.repeat(np.arange(len(parts), dtype=np.int16), [len(rows) for _, _, rows in parts])
        seq = _joined([run.seq(rows) for _, run, rows in parts])
        time = _joined([run.time(rows) for _, run, rows in parts])
        keep = (time > self.floor) & ~_joined([run.removed(rows) for _, run, rows in parts]).astype(np.bool_)
        order = np.argsort(probe, kind="stable") if self._unique else np.lexsort((seq, probe))
        if newest_only and not self._unique and len(order):
            repeated = (probe[order][1:] == probe[order][:-1]) & (seq[order][1:] == seq[order][:-1])
            order = order[np.concatenate((np.ones(1, dtype=np.bool_), ~repeated))]
        order = order[keep[order]]
        number, row = number[order], row[order]
        high, low = np.empty(len(order), dtype=np.uint64), np.empty(len(order), dtype=np.uint64)
        for index, run in enumerate(runs):
            mine = np.flatnonzero(number == index)
            keys = run.keys(row[mine])
            high[mine], low[mine] = keys.high, keys.low
        return Found(probe[order], KeyHash(high, low), seq[order], time[order], schema, runs, number, row)

    def _hidden(self, run: Run, rows: Rows, keys: KeyHash, age: int) -> Mask:
        """Which of a run's rows were replaced or removed by a newer run, or are tombstones themselves."""
        hidden = run.removed(rows)
        seq = run.seq(rows)
        order = np.argsort(keys.high, kind="stable")
        sorted_keys = keys.take(order)
        for newer in self._runs[len(self._runs) - age :]:
            probe, found = newer.find(sorted_keys)
            if len(probe):
                same = newer.seq(found) == seq[order[probe]]
                hidden[order[probe[same]]] = True
        return hidden

    def _sorted(self, changes: Changes) -> pa.Table:
        order = np.argsort(changes.keys.high)
        high = changes.keys.high[order]
        if np.any(high[1:] == high[:-1]):
            order = np.lexsort((changes.seq, changes.keys.low, changes.keys.high))
        removed = changes.removed if changes.removed is not None else np.zeros(len(changes), dtype=np.bool_)
        system = (changes.keys.high, changes.keys.low, changes.seq, changes.time, removed)
        payload = changes.table.select(self._schema.names).cast(self._schema)
        arrays = [pa.array(column) for column in system]
        table = pa.Table.from_arrays([*arrays, *payload.columns], schema=self._file_schema)
        return table.take(pa.array(order))

    def _empty(self) -> Manifest:
        return Manifest(0, 0, BEGINNING, (), None, str(self._schema))

    def _write_manifest(self) -> None:
        manifest = self._manifest
        body = json.dumps(
            {
                "version": manifest.version,
                "rows": manifest.rows,
                "floor": manifest.floor,
                "runs": [run.to_json() for run in manifest.runs],
                "changes": manifest.changes.to_json() if manifest.changes else None,
                "schema": manifest.schema,
            },
            indent=1,
        )
        temporary = self._folder / f".{manifest.version}.json.tmp"
        temporary.write_text(f"v1 {zlib.crc32(body.encode())}\n{body}")
        temporary.rename(self._folder / f"{manifest.version}.json")
        self._place.keep(f"{manifest.version}.json")
        self._forget(manifest.version, unlink=False)
        self._kept[manifest.version] = manifest.files
        self._references.update(manifest.files)

    def _load_manifests(self) -> dict[int, Manifest | None]:
        """All manifests in the folder by version; None for a damaged one."""
        found: dict[int, Manifest | None] = {}
        for name in self._place.names():
            version, dot, kind = name.rpartition(".")
            if dot and kind == "json" and version.isdigit():
                found[int(version)] = parse_manifest(self._place, name)
        return found

    def _recover(self, version: int, manifests: dict[int, Manifest | None]) -> tuple[Manifest, list[Run]]:
        wanted = manifests.get(version)
        if wanted is None:
            state = "is damaged" if version in manifests else "does not exist"
            raise self._failure(f"the manifest {version}.json {state}")
        if wanted.schema != str(self._schema):
            raise SparkGeneralError.of(
                "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
                f"Provided value schema does not match existing state value schema. Existing: {wanted.schema!r}, "
                f"provided: {str(self._schema)!r} ({self._place.shown}). Restore the query as it was when the "
                "checkpoint was written, or start it with a new checkpoint.",
                sql_state="42K06",
                storedValueSchema=wanted.schema,
                newValueSchema=str(self._schema),
            )
        problems = []
        for older in range(version, -1, -1):
            base = manifests.get(older) if older else self._empty()
            later = [manifests.get(k) for k in range(older + 1, version + 1)]
            if base is None or any(step is None for step in later):
                problems.append(f"the manifest of version {older} is missing or damaged")
                break
            infos = [*base.runs, *(step.changes for step in later if step is not None and step.changes is not None)]
            self._place.fetch(info.file for info in infos)
            try:
                runs = [Run.open(self._folder, info, self._pool) for info in infos]
            except DamagedFile as damage:
                problems.append(str(damage))
                continue
            return replace(wanted, runs=tuple(infos)), runs
        raise self._failure("; ".join(dict.fromkeys(problems)))

    def _failure(self, what: str) -> SparkError:
        return SparkGeneralError.of(
            "CANNOT_LOAD_STATE_STORE.UNCATEGORIZED",
            f"An error occurred during loading state. The state in {self._place.shown} cannot be read, and older "
            f"versions do not suffice to rebuild it: {what}. Restore the files from a backup, or start with a new "
            "checkpoint.",
            sql_state="58030",
        )

    def _forget(self, version: int, *, unlink: bool = True) -> None:
        """Give up a version and remove the files that no other one needs."""
        files = self._kept.pop(version, set())
        gone = [f"{version}.json"]
        self._references.subtract(files)
        for file in files:
            if self._references[file] <= 0:
                del self._references[file]
                gone.append(file)
        if unlink:
            self._place.remove(gone)

    def _remove_strays(self) -> None:
        """Remove what a crash left behind: half-written files and merges that no version refers to."""
        self._place.remove(
            name
            for name in self._place.left_behind()
            if name.endswith(".tmp") or (name.endswith(".arrow") and name not in self._references)
        )

    def _start_merge(self) -> None:
        """Begin the merge that is due, if one is. Newer runs may be merged beside a large merge that is under way."""
        first = 0
        if self._merging is not None:
            merging = self._merging[0]
            first = 1 + max((i for i, run in enumerate(self._runs) if run in merging), default=-1)
        chosen = compaction.choose([run.info for run in self._runs[first:]])
        if chosen is None:
            return
        start = first + chosen.start
        runs = self._runs[start:]
        small = sum(run.info.rows for run in runs) <= _INLINE_MERGE_ROWS
        merge = partial(self._merge, tuple(runs), floor=self.floor, oldest=start == 0)
        if small:
            self._merged.append((runs, merge()))
        elif self._merging is None:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="riacho-state-merge")
            self._merging = (runs, self._executor.submit(carried(merge)))

    def _merge(self, runs: Sequence[Run], *, floor: int, oldest: bool) -> Run:
        versions = (runs[0].info.first_version, runs[-1].info.last_version)
        tables = compaction.merge(runs, floor=floor, oldest=oldest, unique=self._unique)
        file = f"{versions[0]}-{versions[1]}.{uuid4().hex[:8]}.arrow"
        info = write_run(self._folder, file, self._file_schema, tables, versions)
        self._place.keep(file)
        return Run.open(self._folder, info, self._pool, verify=False)

    def _adopt_merged(self) -> None:
        """Put finished merges in the place of what they merged, unless all of that was dropped meanwhile."""
        if self._merging is not None and self._merging[1].done():
            (runs, future), self._merging = self._merging, None
            self._merged.append((runs, future.result()))
        for runs, merged in self._merged:
            start = next((i for i, mine in enumerate(self._runs) if mine in runs), None)
            if start is None:
                self._place.remove([merged.info.file])
            else:
                self._use([*self._runs[:start], merged, *(mine for mine in self._runs[start:] if mine not in runs)])
        self._merged.clear()

    def _abandon_merge(self) -> None:
        self._merged.clear()
        if self._merging is not None:
            (_, future), self._merging = self._merging, None
            if not future.cancel():
                future.exception()


def parse_manifest(place: StatePlace, name: str) -> Manifest | None:
    """The manifest in a file; None if it is missing or damaged."""
    try:
        head, body = place.read_text(name).split("\n", 1)
        if head != f"v1 {zlib.crc32(body.encode())}":
            return None
        found = json.loads(body)
        return Manifest(
            version=found["version"],
            rows=found["rows"],
            floor=found["floor"],
            runs=tuple(RunInfo(**run) for run in found["runs"]),
            changes=RunInfo(**found["changes"]) if found["changes"] else None,
            schema=found["schema"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ranges(count: int) -> Iterator[tuple[Place, Place]]:
    """The space of hashes in `count` equal parts."""
    bounds = [(part << 64) // count for part in range(count + 1)] if count else []
    for begin, end in pairwise(bounds):
        yield (begin, 0, BEGINNING), (end, 0, BEGINNING)


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
