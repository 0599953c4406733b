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

_INVALID = re.compile(r"Invalid data found: (?P<rows>.*)", re.DOTALL)

_CONSTRAINT = "delta.constraints."


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
    invalid = _INVALID.search(text)
    if invalid is not None:
        return _violated(table, invalid["rows"])
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


def _violated(table: Path, rows: str) -> SparkRuntimeError:
    """Rows that a constraint forbids. delta-rs shows the rows and not the constraint, so all are named."""
    configuration = DeltaTable(table).metadata().configuration
    checks = {
        key.removeprefix(_CONSTRAINT): condition
        for key, condition in configuration.items()
        if key.startswith(_CONSTRAINT)
    }
    named = ", ".join(f"{name} ({condition})" for name, condition in checks.items()) or "of a column"
    return SparkRuntimeError.of(
        "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
        f"CHECK constraint {named} violated by row with values:\n{rows}",
        sql_state="23001",
        constraintName=", ".join(checks),
        expression=", ".join(checks.values()),
        values=rows,
    )
