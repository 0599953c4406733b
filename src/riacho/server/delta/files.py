"""Data files: Parquet into Arrow as the table's schema wants it, and Arrow or the engine's rows into new data files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from riacho.errors import SparkGeneralError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.delta import partitions
from riacho.server.delta.actions import AddFile, local_path, logged_path
from riacho.server.delta.deletion_vectors import Rows, deleted_rows
from riacho.server.delta.stats import read_stats
from riacho.server.engine.base import EngineSession

STAGING = "_riacho"
"""Folder of a table that new files are written to before they get their names; hidden from every reader."""

READ_ROWS = 1 << 16
WRITE_ROWS = 1 << 20
_SUFFIX = "c000.snappy.parquet"


@dataclass(frozen=True)
class DataFile:
    """A file to be read: where it is, what its log entry says of all its rows, and which of them are wanted.

    `deleted`: row numbers that are gone. `only`: row numbers that alone are wanted. At most one of them is given.
    """

    path: Path
    partition_values: Mapping[str, str | None]
    deleted: Rows | None = None
    only: Rows | None = None


def data_file(table: Path, add: AddFile) -> DataFile:
    """The file of an add action of `table`. Reads its deletion vector, if it has one, and raises as `deleted_rows`."""
    vector = None if add.deletion_vector is None else deleted_rows(table, add.deletion_vector)
    return DataFile(local_path(table, add.path), add.partition_values, vector)


def read_batches(
    file: DataFile, schema: pa.Schema, *, rows: int = READ_ROWS, number: tuple[str, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The wanted rows of a file, in file order, with exactly the columns of `schema`.

    Columns are found by name whatever their case; what the file lacks is a partition value or NULL; narrower types
    are widened. `number`: the name of one more column, the last, which counts all rows of the file from that number on,
    unwanted ones too. Raises SparkGeneralError FAILED_READ_FILE.
    """
    try:
        with pq.ParquetFile(file.path, memory_map=True, coerce_int96_timestamp_unit="us") as content:
            present = {name.lower(): name for name in content.schema_arrow.names}
            wanted = [present[f.name.lower()] for f in schema if f.name.lower() in present]
            first_row = 0
            for batch in content.iter_batches(rows, columns=wanted):
                # First the types: files of other writers may hold some that cannot be filtered (string_view).
                conformed = _conform(
                    batch, schema, file.partition_values, number and (number[0], number[1] + first_row)
                )
                yield _kept(conformed, file, first_row)
                first_row += batch.num_rows
    except (OSError, pa.ArrowException, ValueError) as failure:
        raise _unreadable(file.path, failure) from failure


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


def _unreadable(path: Path, failure: Exception) -> SparkGeneralError:
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
    session: EngineSession, relations: Iterable[pb.Relation], table: Path, partition_by: Sequence[str] = ()
) -> list[NewFile]:
    """Execute `relations`, one after the other, and write their rows as new data files of `table`; none for no rows.

    Without partitions the engine writes the files itself, on all cores. It cannot be left to it with partitions: it
    refuses some types. Raises what the engine raises; then nothing is left behind.
    """
    if partition_by:
        batches = (batch for relation in relations for batch in session.stream(relation))
        return write_batches(batches, table, partition_by)
    staging = table / STAGING / new_uuid()
    try:
        for relation in relations:
            session.write_parquet(relation, staging)
        written = sorted(staging.iterdir()) if staging.is_dir() else []
        return [new for file, number in zip(written, count(), strict=False) if (new := _adopt(file, table, number))]
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_batches(
    batches: Iterable[pa.RecordBatch],
    table: Path,
    partition_by: Sequence[str] = (),
    *,
    rows: int = WRITE_ROWS,
    below: str = "",
) -> list[NewFile]:
    """Write Arrow batches as new data files of `table`, up to `rows` rows each and one partition per file.

    `below`: the folder of the table in which they are to lie, such as `_change_data`. Raises what `batches` raises;
    then nothing is left behind.
    """
    staging = table / STAGING / new_uuid()
    staging.mkdir(parents=True)
    numbers = count()
    files: list[NewFile] = []
    try:
        for chunk in _chunks(batches, rows):
            parts = partitions.split(chunk, partition_by) if partition_by else [({}, chunk)]
            for values, part in parts:
                number = next(numbers)
                file = staging / f"{number}.parquet"
                pq.write_table(part, file, compression="snappy", use_dictionary=False)
                new = _adopt(file, table, number, values, below)
                if new is not None:
                    files.append(new)
    except BaseException:
        discard(table, files)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files


def write_file(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    table: Path,
    values: Mapping[str, str | None],
    *,
    data_change: bool = True,
) -> NewFile | None:
    """Write all rows, which have the columns of `schema` and are of one partition, as one data file; None for no rows.

    Raises what `batches` raises; then nothing is left behind.
    """
    staging = table / STAGING / new_uuid()
    staging.mkdir(parents=True)
    try:
        file = staging / "0.parquet"
        with pq.ParquetWriter(file, schema, compression="snappy", use_dictionary=False) as writer:
            for chunk in _chunks(batches, WRITE_ROWS):
                writer.write_table(chunk)
        new = _adopt(file, table, 0, values)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return new if new is None or data_change else replace(new, add=replace(new.add, data_change=False))


def remove_stale_staging(table: Path, older_than_s: float, now_s: float) -> None:
    """Remove what writers that were killed left in the staging folder of `table`."""
    for leftover in (table / STAGING).glob("*"):
        with suppress(FileNotFoundError):  # another writer was just done with it
            if now_s - leftover.stat().st_mtime > older_than_s:
                shutil.rmtree(leftover, ignore_errors=True)


def discard(table: Path, files: Iterable[NewFile]) -> None:
    """Remove files that no version will ever name."""
    for new in files:
        local_path(table, new.add.path).unlink(missing_ok=True)


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


def _adopt(
    file: Path, table: Path, number: int, values: Mapping[str, str | None] | None = None, below: str = ""
) -> NewFile | None:
    """Give a staged file its name in the table, and say what its add action is. None for a file without rows."""
    stats = read_stats(file)
    if stats.rows == 0:
        file.unlink()
        return None
    folder = table / below / partitions.folder(values or {})
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"part-{number:05d}-{new_uuid()}-{_SUFFIX}"
    os.rename(file, target)  # noqa: PTH104 (once per file on the batch path)
    found = target.stat()
    add = AddFile(
        logged_path(table, target), found.st_size, found.st_mtime_ns // 1_000_000, dict(values or {}), stats=stats.text
    )
    return NewFile(add, stats.rows, stats.null_counts)
