"""OPTIMIZE: small files put together, or all rows of each partition laid in Z-order. No row changes.

Decided first (`bins`), then done: each bin becomes one file. Source: Delta's `OptimizeTableCommand`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.clock import Clock
from riacho.errors import AnalysisError, SparkGeneralError
from riacho.server.delta import changes, files
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile, Json
from riacho.server.delta.protocol import append_route, require_readable
from riacho.server.delta.state import TableState, not_a_table, require_whole
from riacho.server.delta.writer import Decision, DeltaWriter
from riacho.storage import Place

TARGET_BYTES = 1 << 30
_MAX_RUNS = 5
_BITS = 20
"""Of each column's rank, that go into the place of a row in Z-order."""


@dataclass
class Optimized:
    """What was done."""

    removed: list[AddFile] = field(default_factory=list)
    added: list[AddFile] = field(default_factory=list)
    considered: int = 0
    partitions: int = 0
    bins: int = 0


def bins(held: Iterable[AddFile], target_bytes: int, *, whole: bool) -> list[list[AddFile]]:
    """The files that are to become one, in groups. `whole`: all files of a partition, however large and few.

    Files as large as the target stay as they are; so does a file that is alone, unless rows are masked out of it.
    """
    partitioned: dict[frozenset[tuple[str, str | None]], list[AddFile]] = {}
    for file in held:
        if whole or file.size < target_bytes or file.deletion_vector is not None:
            partitioned.setdefault(frozenset(file.partition_values.items()), []).append(file)
    if whole:
        return list(partitioned.values())
    found: list[list[AddFile]] = []
    for group in partitioned.values():
        current: list[AddFile] = []
        size = 0
        for file in sorted(group, key=lambda file: file.size):
            if current and size + file.size > target_bytes:
                found.append(current)
                current, size = [], 0
            current.append(file)
            size += file.size
        found.append(current)
    return [group for group in found if len(group) > 1 or group[0].deletion_vector is not None]


def optimize(table: Place, clock: Clock, zorder_by: Sequence[str] = (), target_bytes: int = TARGET_BYTES) -> Optimized:
    """Put files together as one version; none is made if there is nothing to do.

    A write in between that leaves the files alone does not matter; after another one all is done anew. Raises
    DELTA_PATH_DOES_NOT_EXIST, DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST, DELTA_ZORDERING_ON_PARTITION_COLUMN,
    DELTA_CONCURRENT_WRITE, FAILED_READ_FILE; then the table is as it was.
    """
    writer = DeltaWriter(table, with_files=True)
    for _ in range(_MAX_RUNS):
        state = writer.state()
        if state is None:
            raise not_a_table(table)
        require_readable(table, state.protocol, state.metadata)
        append_route(table, state.protocol, state.metadata)
        require_whole(table, state)
        schema = types.nullable(schemas.to_arrow(state.metadata.schema_json))
        order = _order(zorder_by, schema, state)
        held = list(changes.require_files(state).values())
        groups = bins(held, target_bytes, whole=bool(order))
        new = _write(table, groups, schema, state.metadata.partition_columns, order)
        result = Optimized(
            [file for group in groups for file in group],
            [each.add for each in new],
            len(held),
            len({frozenset(group[0].partition_values.items()) for group in groups}),
            len(groups),
        )
        if not groups:
            return result
        try:
            committed = writer.commit(_decision(result, state.metadata.id, zorder_by, clock))
        except BaseException:
            files.discard(table, new)
            raise
        if committed is not None:
            return result
        files.discard(table, new)
    raise SparkGeneralError.of(
        "DELTA_CONCURRENT_WRITE",
        f"ConcurrentWriteException: Other writers changed the files of the Delta table at {table} while they "
        f"were compacted, {_MAX_RUNS} times in a row. Please try the operation again.",
        sql_state="2D521",
    )


def _decision(result: Optimized, table_id: str, zorder_by: Sequence[str], clock: Clock) -> Decision:
    def decide(state: TableState | None) -> list[Json] | None:
        if state is None or state.metadata.id != table_id:
            return None
        held = changes.require_files(state)
        if any(file.key not in held for file in result.removed):
            return None
        now_ms = clock.now_ms()
        info = changes.commit_info(
            "OPTIMIZE",
            {"predicate": "[]", "zOrderBy": schemas.compact(list(zorder_by)), "auto": False},
            now_ms,
            read_version=state.version,
            metrics={
                "numRemovedFiles": len(result.removed),
                "numRemovedBytes": sum(file.size for file in result.removed),
                "numAddedFiles": len(result.added),
                "numAddedBytes": sum(file.size for file in result.added),
            },
        )
        return [
            info,
            *(file.removed(now_ms, data_change=False) for file in result.removed),
            *(file.to_json() for file in result.added),
        ]

    return decide


def _order(zorder_by: Sequence[str], schema: pa.Schema, state: TableState) -> list[str]:
    known = schemas.column_index(schema)
    found = []
    for name in zorder_by:
        if name.lower() not in known:
            raise AnalysisError.of(
                "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST",
                f"Z-Ordering column {name} does not exist in data schema.",
                sql_state="42703",
                columnName=name,
            )
        column = known[name.lower()].name
        if column in state.metadata.partition_columns:
            raise AnalysisError.of(
                "DELTA_ZORDERING_ON_PARTITION_COLUMN",
                f"{column} is a partition column. Z-Ordering can only be performed on data columns.",
                sql_state="42P10",
                colName=column,
            )
        found.append(column)
    return found


def _write(
    table: Place, groups: Sequence[Sequence[AddFile]], schema: pa.Schema, partition_by: Sequence[str], order: list[str]
) -> list[files.NewFile]:
    """Each group of files as one new file."""
    body = pa.schema([column for column in schema if column.name not in partition_by])
    written: list[files.NewFile] = []
    try:
        for group in groups:
            batches = (b for file in group for b in files.read_batches(files.data_file(table, file), body))
            rows = _z_ordered(pa.Table.from_batches(batches, body), order) if order else batches
            new = files.write_file(rows, body, table, group[0].partition_values, data_change=False)
            if new is not None:
                written.append(new)
    except BaseException:
        files.discard(table, written)
        raise
    return written


def _z_ordered(rows: pa.Table, order: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows so that those with like values in all of these columns lie near each other."""
    places = np.zeros(rows.num_rows, np.uint64)
    usable = min(_BITS, 64 // len(order))
    ranks = [_rank(rows[name], usable) for name in order]
    for bit in range(usable):
        for number, rank in enumerate(ranks):
            places |= ((rank >> np.uint64(bit)) & np.uint64(1)) << np.uint64(bit * len(order) + number)
    yield from rows.take(pa.array(np.argsort(places, kind="stable"))).to_batches()


def _rank(column: pa.ChunkedArray, bits: int) -> npt.NDArray[np.uint64]:
    """Where each value stands among all of its column, as a number of so many bits; NULLs first."""
    ranks = pc.rank(column, sort_keys="ascending", null_placement="at_start", tiebreaker="dense")
    ranked = np.asarray(ranks.to_numpy(zero_copy_only=False), np.float64)
    most = max(float(ranked.max(initial=1)), 1.0)
    return (ranked / most * ((1 << bits) - 1)).astype(np.uint64)
