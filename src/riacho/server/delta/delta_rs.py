"""The border to delta-rs, which writes checkpoints and removes what nobody needs: its errors become ours here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from riacho.errors import AnalysisError, SparkError, SparkGeneralError
from riacho.server.delta.state import not_a_table
from riacho.storage import Place


@contextmanager
def translated(table: Place) -> Iterator[None]:
    """Turns what delta-rs raises about `table` into a SparkError."""
    try:
        yield
    except DeltaError as failure:
        raise _ours(table, failure) from failure


def open_table(table: Place, version: int | None = None) -> DeltaTable:
    """delta-rs's view of a table. Raises DELTA_PATH_DOES_NOT_EXIST."""
    with translated(table):
        if isinstance(table, Path):
            return DeltaTable(table, version=version)
        return DeltaTable(str(table), version=version, storage_options=table.options())


def _ours(table: Place, failure: DeltaError) -> SparkError:
    text = str(failure)
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
