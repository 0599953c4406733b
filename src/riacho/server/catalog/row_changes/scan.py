"""Which rows of a table are meant: each row has a number, made of its file's and its own place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from riacho.protos import pb
from riacho.server.catalog.row_changes.job import Job, Snapshot
from riacho.server.catalog.row_changes.scope import TableScope, attribute
from riacho.server.delta import files, partitions
from riacho.server.delta.actions import AddFile, data_place
from riacho.server.delta.deletion_vectors import Rows
from riacho.server.plan import build
from riacho.server.plan.mentions import function_names, mentioned
from riacho.server.plan.walk import expressions
from riacho.server.sql.words import words
from riacho.storage import open_input

ROW = "__riacho_row"
"""The column of a row's number."""
_BITS = 40
_PLACE = (1 << _BITS) - 1
_MAY_DIFFER = words("RAND RANDN RANDOM RANDSTR UNIFORM UUID SHUFFLE MONOTONICALLY_INCREASING_ID SPARK_PARTITION_ID")
"""Functions that may give each row of a partition another value."""


@dataclass(frozen=True)
class Hits:
    """Rows by the file that holds them: their places there, ascending, or None for all of its rows."""

    places: Mapping[int, Rows | None]

    def count(self, snapshot: Snapshot) -> int:
        return sum(
            live_rows(snapshot, snapshot.files[file]) if rows is None else len(rows)
            for file, rows in self.places.items()
        )


def by_file(numbers: Rows) -> Hits:
    """The rows of these numbers; a number may come twice."""
    ordered = np.unique(numbers)
    owners = ordered >> _BITS
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    parts = np.split(ordered, starts[1:]) if len(ordered) else []
    return Hits({int(part[0] >> _BITS): part & _PLACE for part in parts})


def every(snapshot: Snapshot) -> Hits:
    """All rows of the table."""
    return Hits(dict.fromkeys(range(len(snapshot.files))))


def find(job: Job, scope: TableScope, condition: pb.Expression | None) -> Hits:
    """The rows for which a condition is true."""
    snapshot = job.snapshot
    if condition is None:
        return every(snapshot)
    used = mentioned([condition])
    wanted = [column.name for column in snapshot.schema if column.name in used.perhaps]
    whole = all(name in snapshot.partition_by for name in wanted) and not _differs(condition)
    rows = _a_row_per_file(snapshot, wanted) if whole else numbered_rows(snapshot, wanted)
    relation = build.where(scope.over(spooled(job, rows)), condition)
    numbers = collect_numbers(job.session.stream(build.project(relation, [attribute(ROW)])))
    if whole:
        return Hits(dict.fromkeys((numbers >> _BITS).tolist()))
    return by_file(numbers)


def collect_numbers(batches: Iterable[pa.RecordBatch], column: int = 0) -> Rows:
    """The numbers in one column of some batches."""
    parts = [batch.column(column).to_numpy(zero_copy_only=False) for batch in batches]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


def spooled(job: Job, rows: tuple[pa.Schema, Iterator[pa.RecordBatch]]) -> pb.Relation:
    """A relation of these rows."""
    schema, batches = rows
    return job.spool.put(batches, schema)[0]


def numbered_rows(
    snapshot: Snapshot, columns: Sequence[str] | None = None, hits: Hits | None = None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Rows of the table with their numbers, in the numbers' order; some or all columns, of some or all rows."""
    schema = snapshot.schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    chosen = every(snapshot) if hits is None else hits

    def batches() -> Iterator[pa.RecordBatch]:
        for file, places in sorted(chosen.places.items()):
            data = chosen_rows(snapshot, file, places)
            yield from files.read_batches(data, schema, number=(ROW, file << _BITS))

    return schema.append(pa.field(ROW, pa.int64())), batches()


def chosen_rows(snapshot: Snapshot, file: int, places: Rows | None) -> files.DataFile:
    """A file of the table to be read, only those rows of it. Raises as `deleted_rows`."""
    whole = files.data_file(snapshot.folder, snapshot.files[file])
    return whole if places is None else files.DataFile(whole.path, whole.partition_values, only=places)


def other_rows(snapshot: Snapshot, file: int, places: Rows) -> files.DataFile:
    """A file of the table to be read, without those rows of it. Raises as `deleted_rows`."""
    whole = files.data_file(snapshot.folder, snapshot.files[file])
    deleted = places if whole.deleted is None else np.union1d(whole.deleted, places)
    return files.DataFile(whole.path, whole.partition_values, deleted=deleted)


def live_rows(snapshot: Snapshot, add: AddFile) -> int:
    """How many rows of a file are in the table."""
    rows = add.num_records
    if rows is None:
        rows = pq.read_metadata(open_input(data_place(snapshot.folder, add.path), add.size)).num_rows
    vector = add.deletion_vector
    return int(rows) - (0 if vector is None else int(vector["cardinality"]))


def _a_row_per_file(snapshot: Snapshot, columns: Sequence[str]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The partition of each file, numbered as the file's first row."""
    schema = pa.schema([snapshot.schema.field(name) for name in columns])
    numbered = schema.append(pa.field(ROW, pa.int64()))
    arrays: list[pa.Array] = []
    for column in schema:
        scalars = [partitions.from_text(file.partition_values.get(column.name), column.type) for file in snapshot.files]
        arrays.append(pa.array([scalar.as_py() for scalar in scalars], column.type))
    arrays.append(pa.array(np.arange(len(snapshot.files), dtype=np.int64) << _BITS))
    return numbered, iter([pa.RecordBatch.from_arrays(arrays, schema=numbered)])


def _differs(condition: pb.Expression) -> bool:
    """Whether a condition may hold for one row and not for another that has the same values."""
    return any(not function_names(part).isdisjoint(_MAY_DIFFER) for part in [condition, *expressions(condition)])
