"""The border to delta-rs, which does the rare and intricate: its errors become ours here, in one table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from riacho.catalog.delta.state import not_a_table
from riacho.errors import AnalysisError, SparkError, SparkGeneralError, SparkRuntimeError

_VIOLATED = re.compile(r"check or invariant \((?P<check>.*?)\) violated", re.IGNORECASE | re.DOTALL)


@contextmanager
def translated(table: Path) -> Iterator[None]:
    """Turns what delta-rs raises about `table` into a SparkError."""
    try:
        yield
    except DeltaError as failure:
        raise _ours(table, failure) from failure


def open_table(table: Path, version: int | None = None) -> DeltaTable:
    """delta-rs's view of a table. Raises DELTA_PATH_DOES_NOT_EXIST."""
    with translated(table):
        return DeltaTable(table, version=version)


def write_checked(
    table: Path, rows: pa.RecordBatchReader, overwrite: bool, grown: bool, transaction: tuple[str, int] | None
) -> int:
    """Write rows where CHECK constraints are checked and generated columns filled; how many there were.

    Raises DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.
    """
    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in rows:
            count += batch.num_rows
            yield batch

    properties = None if transaction is None else CommitProperties(app_transactions=[Transaction(*transaction)])
    with translated(table):
        write_deltalake(
            table,
            pa.RecordBatchReader.from_batches(rows.schema, counted()),
            mode="overwrite" if overwrite else "append",
            schema_mode="merge" if grown or not overwrite else None,
            commit_properties=properties,
        )
    return count


def _ours(table: Path, failure: DeltaError) -> SparkError:
    text = str(failure)
    violated = _VIOLATED.search(text)
    if violated:
        return SparkRuntimeError.of(
            "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
            f"CHECK constraint {violated['check']} violated by row with values:\n{text}",
            sql_state="23001",
            expression=violated["check"],
        )
    match failure:
        case TableNotFoundError():
            return not_a_table(table)
        case SchemaMismatchError():
            return AnalysisError.of(
                "DELTA_METADATA_MISMATCH",
                f"A metadata mismatch was detected when writing to the Delta table. {text}",
                sql_state="42KDG",
            )
        case CommitFailedError():
            return SparkGeneralError.of(
                "DELTA_CONCURRENT_WRITE",
                "ConcurrentWriteException: A concurrent transaction has written new data since the current transaction "
                f"read the table. Please try the operation again. {text}",
                sql_state="2D521",
            )
    return SparkGeneralError(f"delta-rs failed on the table at {table}: {text}")
