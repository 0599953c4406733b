"""Rows taken out of files and rows put in, as new files; and the change rows that tell of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.catalog.row_changes.job import CHANGES, Snapshot, TableChange
from riacho.server.catalog.row_changes.scan import Hits, chosen_rows, live_rows, other_rows
from riacho.server.delta import files
from riacho.server.delta.feed import CHANGE_TYPE

DELETE = "delete"
INSERT = "insert"
UPDATE_BEFORE = "update_preimage"
UPDATE_AFTER = "update_postimage"


def rewrite(
    snapshot: Snapshot,
    gone: Hits,
    new: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    change: TableChange,
    *,
    apart: Callable[[pa.RecordBatch], pa.BooleanArray] | None = None,
) -> None:
    """Take the rows `gone` out of the table and put `new` in, which have the columns of `schema`.

    Writes the files, and puts into `change` what that makes of the table. Rows that are `apart` are written into files
    of their own: those that hardly ever change, so that later changes need not write them again. Raises what `new`
    raises.
    """
    copied = 0
    kept: list[files.DataFile] = []
    for place, rows in sorted(gone.places.items()):
        add = snapshot.files[place]
        change.removed.append(add)
        left = 0 if rows is None else live_rows(snapshot, add) - len(rows)
        if left and rows is not None:
            kept.append(other_rows(snapshot, place, rows))
            copied += left
    old = chain.from_iterable(files.read_batches(file, schema) for file in kept)
    written: Iterable[pa.RecordBatch] = chain(old, new)
    aside: list[pa.RecordBatch] = []
    if apart is not None:
        written = _without(written, apart, aside)
    change.added += files.write_batches(written, snapshot.folder, snapshot.partition_by)
    change.added += files.write_batches(aside, snapshot.folder, snapshot.partition_by)
    change.metrics["numCopiedRows"] = copied


def _without(
    rows: Iterable[pa.RecordBatch], apart: Callable[[pa.RecordBatch], pa.BooleanArray], aside: list[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The rows but for those that are put aside."""
    for batch in rows:
        mask = apart(batch)
        out, stay = batch.filter(mask), batch.filter(pc.invert(mask))
        if out.num_rows:
            aside.append(out)
        if stay.num_rows:
            yield stay


def record(snapshot: Snapshot, rows: Iterable[pa.RecordBatch], change: TableChange) -> None:
    """Write change rows, if the table keeps a change feed."""
    if snapshot.feed:
        change.recorded += files.write_batches(rows, snapshot.folder, snapshot.partition_by, below=CHANGES)


def rows_of(snapshot: Snapshot, hits: Hits, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows of the table as they are. Raises FAILED_READ_FILE, and as `chosen_rows`."""
    for place, rows in sorted(hits.places.items()):
        yield from files.read_batches(chosen_rows(snapshot, place, rows), schema)


def changed(batches: Iterable[pa.RecordBatch], kind: str) -> Iterator[pa.RecordBatch]:
    """Rows with what became of them."""
    for batch in batches:
        yield batch.append_column(CHANGE_TYPE, pa.repeat(pa.scalar(kind), batch.num_rows))


def sizes(new: Sequence[files.NewFile]) -> int:
    return sum(file.add.size for file in new)
