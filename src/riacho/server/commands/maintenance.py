"""The statements that look after tables: OPTIMIZE, VACUUM, RESTORE, FSCK REPAIR TABLE and REFRESH TABLE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from riacho.clock import iso_utc
from riacho.conf import RETENTION_CHECK
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.paths import qualified
from riacho.server.catalog.moments import timestamp_ms
from riacho.server.commands.context import SqlContext, nothing
from riacho.server.delta import repair, tables
from riacho.server.delta.actions import AddFile
from riacho.server.delta.delta_rs import open_table, translated
from riacho.server.delta.history import commit_times, last_version_until
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.optimize import optimize as run_optimize
from riacho.server.sql.statements import (
    Optimize,
    Refresh,
    Repair,
    Restore,
    Vacuum,
)

_MIN_RETENTION_HOURS = 168

_FILES = pa.struct(
    [
        ("min", pa.int64()),
        ("max", pa.int64()),
        ("avg", pa.float64()),
        ("totalFiles", pa.int64()),
        ("totalSize", pa.int64()),
    ]
)
_OPTIMIZED = pa.schema(
    [
        ("path", pa.string()),
        (
            "metrics",
            pa.struct(
                [
                    ("numFilesAdded", pa.int64()),
                    ("numFilesRemoved", pa.int64()),
                    ("filesAdded", _FILES),
                    ("filesRemoved", _FILES),
                    ("partitionsOptimized", pa.int64()),
                    ("numBatches", pa.int64()),
                    ("totalConsideredFiles", pa.int64()),
                    ("totalFilesSkipped", pa.int64()),
                ]
            ),
        ),
    ]
)


def optimize(statement: Optimize, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.delta_folder` and `riacho.server.delta.optimize.optimize`."""
    folder = context.delta_folder(statement.table, "OPTIMIZE")
    done = run_optimize(folder, context.clock, statement.zorder_by)
    row = {
        "path": qualified(folder),
        "metrics": {
            "numFilesAdded": len(done.added),
            "numFilesRemoved": len(done.removed),
            "filesAdded": _file_metrics(done.added),
            "filesRemoved": _file_metrics(done.removed),
            "partitionsOptimized": done.partitions,
            "numBatches": done.bins,
            "totalConsideredFiles": done.considered,
            "totalFilesSkipped": done.considered - len(done.removed),
        },
    }
    return pa.Table.from_pylist([row], _OPTIMIZED)


def _file_metrics(given: Sequence[AddFile]) -> dict[str, Any]:
    sizes = [file.size for file in given]
    return {
        "min": min(sizes, default=None),
        "max": max(sizes, default=None),
        "avg": sum(sizes) / len(sizes) if sizes else 0.0,
        "totalFiles": len(sizes),
        "totalSize": sum(sizes),
    }


def vacuum(statement: Vacuum, context: SqlContext) -> pa.Table:
    """Raises DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT for less than a week, unless the check is off."""
    folder = context.delta_folder(statement.table, "VACUUM")
    hours = statement.retain_hours
    checked = RETENTION_CHECK.read(context.session.get_conf)
    if hours is not None and hours < _MIN_RETENTION_HOURS and checked:
        raise IllegalArgumentError.of(
            "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT",
            "The specified VACUUM retention period is too low and may corrupt this Delta table if any writes are in "
            "progress.\n\nIf no operations (insert, upsert, delete, optimize) are running, you can disable this safety "
            "check by setting:\nspark.databricks.delta.retentionDurationCheck.enabled = false\n\nOtherwise, use a "
            f"retention period of at least {_MIN_RETENTION_HOURS} hours.",
            sql_state="22003",
        )
    with translated(folder):
        removed = open_table(folder).vacuum(hours, dry_run=statement.dry_run, enforce_retention_duration=False)
    paths = [str(folder / file) for file in removed] if statement.dry_run else [qualified(folder)]
    return pa.table({"path": pa.array(paths, pa.string())})


def restore(statement: Restore, context: SqlContext) -> pa.Table:
    """Make a table what it was at a version or a time, as a new version.

    Raises DELTA_CANNOT_RESTORE_TABLE_VERSION, DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER,
    DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER, DELTA_TIMESTAMP_INVALID, and as `SqlContext.delta_folder`.
    """
    folder = context.delta_folder(statement.table, "RESTORE")
    version = _restored_version(DeltaLog(folder), statement, context)
    done = tables.restore(folder, version, context.clock)
    return pa.table({name: pa.array([count], pa.int64()) for name, count in done.items()})


def fsck(statement: Repair, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.delta_folder` and `repair.examine`."""
    folder = context.delta_folder(statement.table, "FSCK REPAIR TABLE")
    found = repair.examine(folder) if statement.dry_run else repair.repair(folder, context.clock)
    return pa.table(
        {
            "dataFilePath": pa.array([finding.file.path for finding in found], pa.string()),
            "dataFileMissing": pa.array([finding.damage is repair.Damage.MISSING for finding in found], pa.bool_()),
            "damage": pa.array([finding.damage.value for finding in found], pa.string()),
            "repaired": pa.array([finding.mendable and not statement.dry_run for finding in found], pa.bool_()),
        }
    )


def _restored_version(log: DeltaLog, statement: Restore, context: SqlContext) -> int:
    """The version that RESTORE asks for.

    Raises DELTA_CANNOT_RESTORE_TABLE_VERSION, DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER,
    DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER, DELTA_TIMESTAMP_INVALID.
    """
    times = commit_times(log)
    (first, first_ms), (last, last_ms) = times[0], times[-1]
    if statement.timestamp is None:
        version = statement.version or 0
        if not first <= version <= last:
            raise AnalysisError.of(
                "DELTA_CANNOT_RESTORE_TABLE_VERSION",
                f"Cannot restore table to version {version}. Available versions: [{first}, {last}].",
                sql_state="22003",
                version=str(version),
                startVersion=str(first),
                endVersion=str(last),
            )
        return version
    asked_ms = timestamp_ms(statement.timestamp, context.session.zone.tzinfo)
    if asked_ms < first_ms:
        raise _not_at(asked_ms, "EARLIER", "before the earliest version available", "after", first_ms)
    if asked_ms > last_ms:
        raise _not_at(asked_ms, "GREATER", "after the latest version available", "before", last_ms)
    return last_version_until(log, asked_ms)


def _not_at(asked_ms: int, kind: str, why: str, use: str, limit_ms: int) -> AnalysisError:
    asked, limit = iso_utc(asked_ms), iso_utc(limit_ms)
    return AnalysisError.of(
        f"DELTA_CANNOT_RESTORE_TIMESTAMP_{kind}",
        f"Cannot restore table to timestamp ({asked}) as it is {why}. Please use a timestamp {use} ({limit}).",
        sql_state="22003",
        requestedTimestamp=asked,
        latestTimestamp=limit,
    )


def refresh(statement: Refresh, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`."""
    if not context.is_temporary(statement.table):
        context.table(statement.table, "REFRESH TABLE")
    return nothing()
