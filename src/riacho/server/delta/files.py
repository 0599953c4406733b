"""Data files: Parquet into Arrow as the table's schema wants it, and Arrow or the engine's rows into new data files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from riacho.errors import SparkGeneralError, StorageError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.delta import partitions
from riacho.server.delta.actions import AddFile, data_place, logged_path
from riacho.server.delta.commits import COMMITS
from riacho.server.delta.deletion_vectors import Rows, deleted_rows
from riacho.server.delta.stats import read_stats
from riacho.server.engine.base import EngineSession
from riacho.storage import ObjectPath, Place, open_input, upload

STAGING = "_riacho"
"""Folder of a table that new files are written to before they get their names; hidden from every reader."""

READ_ROWS = 1 << 16
WRITE_ROWS = 1 << 20
_SUFFIX = "c000.snappy.parquet"
_UPLOADS = 4
"""How many files are uploaded at once, and wait for it on disk."""


@dataclass(frozen=True)
class DataFile:
    """A file to be read: where it is, what its log entry says of all its rows, and which of them are wanted.

    `deleted`: row numbers that are gone. `only`: row numbers that alone are wanted. At most one of them is given.
    `size`: its bytes, where they are known.
    """

    path: Place
    partition_values: Mapping[str, str | None]
    deleted: Rows | None = None
    only: Rows | None = None
    size: int | None = None


def data_file(table: Place, add: AddFile) -> DataFile:
    """The file of an add action of `table`. Reads its deletion vector, if it has one, and raises as `deleted_rows`."""
    vector = None if add.deletion_vector is None else deleted_rows(table, add.deletion_vector)
    return DataFile(data_place(table, add.path), add.partition_values, vector, size=add.size)


def read_batches(
    file: DataFile, schema: pa.Schema, *, rows: int = READ_ROWS, number: tuple[str, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The wanted rows of a file, in file order, with exactly the columns of `schema`.

    Columns are found by name whatever their case; what the file lacks is a partition value or NULL; narrower types
    are widened. `number`: the name of one more column, the last, which counts all rows of the file from that number on,
    unwanted ones too. Raises SparkGeneralError FAILED_READ_FILE.
    """
    try:
        source = open_input(file.path, file.size)
        with pq.ParquetFile(source, memory_map=True, coerce_int96_timestamp_unit="us") as content:
            present = {name.lower(): name for name in content.schema_arrow.names}
            wanted = [present[f.name.lower()] for f in schema if f.name.lower() in present]
            yield from _wanted_rows(content.iter_batches(rows, columns=wanted), file, schema, number)
    except (OSError, pa.ArrowException, ValueError) as failure:
        raise _unreadable(file.path, failure) from failure


def held_batches(rows: pa.Table, file: DataFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """What `read_batches` gives for a file, from the rows that went into it: see `commits`."""
    present = {name.lower(): name for name in rows.column_names}
    wanted = rows.select([present[f.name.lower()] for f in schema if f.name.lower() in present])
    if not wanted.num_columns:  # Arrow would forget how many rows there are
        wanted = rows.select([0])
    try:
        yield from _wanted_rows(wanted.to_batches(max_chunksize=READ_ROWS), file, schema)
    except (pa.ArrowException, ValueError) as failure:
        raise _unreadable(file.path, failure) from failure


def _wanted_rows(
    batches: Iterable[pa.RecordBatch], file: DataFile, schema: pa.Schema, number: tuple[str, int] | None = None
) -> Iterator[pa.RecordBatch]:
    first_row = 0
    for batch in batches:
        # First the types: files of other writers may hold some that cannot be filtered (string_view).
        conformed = _conform(batch, schema, file.partition_values, number and (number[0], number[1] + first_row))
        yield _kept(conformed, file, first_row)
        first_row += batch.num_rows


def _kept(batch: pa.RecordBatch, file: DataFile, first_row: int) -> pa.RecordBatch:
    """The rows of `batch`, whose first is the file's row `first_row`, that are wanted."""
    marked = file.deleted if file.only is None else file.only
    if marked is None:
        return batch
    start, end = np.searchsorted(marked, [first_row, first_row + batch.num_rows])
    mask = np.full(batch.num_rows, file.only is None)
    mask[marked[start:end] - first_row] = file.only is not None
    return batch.filter(pa.array(mask))


def _conform(
    batch: pa.RecordBatch, schema: pa.Schema, values: Mapping[str, str | None], number: tuple[str, int] | None = None
) -> pa.RecordBatch:
    found = {name.lower(): index for index, name in enumerate(batch.schema.names)}
    constants = {name.lower(): value for name, value in values.items()}
    columns = []
    for field in schema:
        name = field.name.lower()
        if name in found:
            columns.append(conform(batch.column(found[name]), field.type))
        else:
            value = partitions.from_text(constants.get(name), field.type)
            columns.append(pa.repeat(value, batch.num_rows))
    if number is not None:
        columns.append(pa.array(np.arange(number[1], number[1] + batch.num_rows, dtype=np.int64)))
        schema = schema.append(pa.field(number[0], pa.int64()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def conform(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """`column` as `wanted`: cast, nested fields by name, fields that are missing NULL."""
    if column.type.equals(wanted):
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), wanted)
    if pa.types.is_struct(wanted) and pa.types.is_struct(column.type):
        found = {field.name.lower(): index for index, field in enumerate(column.type)}
        children = [
            conform(pc.struct_field(column, [found[f.name.lower()]]), f.type)
            if f.name.lower() in found
            else pa.nulls(len(column), f.type)
            for f in wanted
        ]
        return pa.StructArray.from_arrays(children, fields=list(wanted), mask=column.is_null())
    if pa.types.is_list(wanted) and _is_list(column.type):
        values = conform(column.flatten(), wanted.value_type)
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        offsets = pc.cumulative_sum(pa.concat_arrays([pa.array([0], lengths.type), lengths])).cast(pa.int32())
        return pa.ListArray.from_arrays(offsets, values, type=wanted, mask=column.is_null())
    return column.cast(wanted)


def _is_list(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_list(arrow) or pa.types.is_large_list(arrow))


def _unreadable(path: Place, failure: Exception) -> SparkGeneralError:
    if isinstance(failure, FileNotFoundError):
        return SparkGeneralError.of(
            "FAILED_READ_FILE.FILE_NOT_EXIST",
            f"Encountered error while reading file {path}. File does not exist. It is possible the underlying files "
            "have been updated or vacuumed away.",
            sql_state="KD001",
            path=str(path),
        )
    return SparkGeneralError.of(
        "FAILED_READ_FILE.NO_HINT",
        f"Encountered error while reading file {path}. {failure}",
        sql_state="KD001",
        path=str(path),
    )


@dataclass(frozen=True)
class NewFile:
    """A data file that has been written and is in no version yet. `nulls`: how many, by top-level column."""

    add: AddFile
    rows: int
    nulls: Mapping[str, int]


def write_relations(
    session: EngineSession, relations: Iterable[pb.Relation], table: Place, partition_by: Sequence[str] = ()
) -> list[NewFile]:
    """Execute `relations`, one after the other, and write their rows as new data files of `table`; none for no rows.

    Without partitions the engine writes the files itself, on all cores. It cannot be left to it with partitions: it
    refuses some types. Nor if somebody waits for the rows (see `commits`). Raises what the engine raises; then nothing
    is left behind.
    """
    if partition_by or COMMITS.wants_rows(table):
        batches = (batch for relation in relations for batch in session.stream(relation))
        return write_batches(batches, table, partition_by)
    with _staged(table) as staging:
        for relation in relations:
            session.write_parquet(relation, staging.folder)
        for number, file in enumerate(sorted(staging.folder.iterdir())):
            staging.adopt(file, number)
    return staging.files


def write_batches(
    batches: Iterable[pa.RecordBatch],
    table: Place,
    partition_by: Sequence[str] = (),
    *,
    rows: int = WRITE_ROWS,
    below: str = "",
) -> list[NewFile]:
    """Write Arrow batches as new data files of `table`, up to `rows` rows each and one partition per file.

    `below`: the folder of the table in which they are to lie, such as `_change_data`. Raises what `batches` raises;
    then nothing is left behind.
    """
    numbers = count()
    with _staged(table) as staging:
        for chunk in _chunks(batches, rows):
            parts = partitions.split(chunk, partition_by) if partition_by else [({}, chunk)]
            for values, part in parts:
                number = next(numbers)
                file = staging.folder / f"{number}.parquet"
                pq.write_table(part, file, compression="snappy", use_dictionary=False)
                new = staging.adopt(file, number, values, below)
                if new is not None and not below:
                    COMMITS.offer(table, new.add.path, part)
    return staging.files


def write_file(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    table: Place,
    values: Mapping[str, str | None],
    *,
    data_change: bool = True,
) -> NewFile | None:
    """Write all rows, which have the columns of `schema` and are of one partition, as one data file; None for no rows.

    Raises what `batches` raises; then nothing is left behind.
    """
    with _staged(table) as staging:
        file = staging.folder / "0.parquet"
        with pq.ParquetWriter(file, schema, compression="snappy", use_dictionary=False) as writer:
            for chunk in _chunks(batches, WRITE_ROWS):
                writer.write_table(chunk)
        staging.adopt(file, 0, values)
    new = next(iter(staging.files), None)
    return new if new is None or data_change else replace(new, add=replace(new.add, data_change=False))


def remove_stale_staging(table: Place, older_than_s: float, now_s: float) -> None:
    """Remove what writers that were killed left in the staging folder of `table`; in object storage there is none."""
    if not isinstance(table, Path):
        return
    for leftover in (table / STAGING).glob("*"):
        with suppress(FileNotFoundError):  # another writer was just done with it
            if now_s - leftover.stat().st_mtime > older_than_s:
                shutil.rmtree(leftover, ignore_errors=True)


def discard(table: Place, files: Iterable[NewFile]) -> None:
    """Remove files that no version will ever name."""
    for new in files:
        COMMITS.withdraw(table, new.add.path)
        with suppress(StorageError):  # what is left does no harm, and VACUUM removes it
            data_place(table, new.add.path).unlink(missing_ok=True)


def _chunks(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        held.append(batch)
        held_rows += batch.num_rows
        if held_rows >= rows:
            yield pa.Table.from_batches(held)
            held, held_rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


@contextmanager
def _staged(table: Place) -> Iterator[_Staging]:
    """A folder of this machine for new files of `table`; what they became is known at the end.

    Whatever goes wrong, no file is left.
    """
    if isinstance(table, Path):
        folder = table / STAGING / new_uuid()
        folder.mkdir(parents=True)
    else:
        # The owner's pid in the name lets a later start remove what a killed one left behind.
        folder = Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-upload-"))
    staging = _Staging(table, folder)
    try:
        yield staging
        staging.finish()
    except BaseException:
        staging.discard()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Staging:
    """Files on their way into a table. In object storage each is uploaded while the next is written."""

    def __init__(self, table: Place, folder: Path) -> None:
        self.folder = folder
        self.files: list[NewFile] = []
        self._table = table
        self._pool: ThreadPoolExecutor | None = None
        self._sent: deque[tuple[NewFile, Future[None]]] = deque()

    def adopt(
        self, file: Path, number: int, values: Mapping[str, str | None] | None = None, below: str = ""
    ) -> NewFile | None:
        """Give a staged file its name in the table, and note what its add action is; nothing for one without rows."""
        stats = read_stats(file)
        if stats.rows == 0:
            file.unlink()
            return None
        folder = self._table / below / partitions.folder(values or {})
        target = folder / f"part-{number:05d}-{new_uuid()}-{_SUFFIX}"
        if isinstance(target, Path):
            folder.mkdir(parents=True, exist_ok=True)
            os.rename(file, target)  # noqa: PTH104 (once per file on the batch path)
            found = target.stat()
        else:
            found = file.stat()
        name = logged_path(self._table, target)
        add = AddFile(name, found.st_size, found.st_mtime_ns // 1_000_000, dict(values or {}), stats=stats.text)
        new = NewFile(add, stats.rows, stats.null_counts)
        if isinstance(target, Path):
            self.files.append(new)
            return new
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="riacho-upload")
        self._sent.append((new, self._pool.submit(_send, file, target)))
        while len(self._sent) > _UPLOADS:
            self._take()
        return new

    def finish(self) -> None:
        """Wait until all are there. Raises StorageError."""
        while self._sent:
            self._take()
        if self._pool is not None:
            self._pool.shutdown()

    def discard(self) -> None:
        """Remove what is in the table already."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        discard(self._table, [*self.files, *(new for new, _ in self._sent)])

    def _take(self) -> None:
        new, sending = self._sent[0]
        sending.result()
        self._sent.popleft()
        self.files.append(new)


def _send(file: Path, target: ObjectPath) -> None:
    upload(file, target)
    file.unlink()
