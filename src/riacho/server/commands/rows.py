"""Rows inserted, deleted, updated and merged; files compacted and removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from riacho.clock import iso_utc
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.paths import delta_path
from riacho.protos import pb
from riacho.server.catalog import dml, failures
from riacho.server.catalog.base import Table
from riacho.server.catalog.names import quoted
from riacho.server.catalog.options import timestamp_ms
from riacho.server.catalog.write import AUTO_MERGE, TableWrite, arity_mismatch, by_name
from riacho.server.commands.context import SqlContext, nothing, query
from riacho.server.delta import repair, tables
from riacho.server.delta.actions import AddFile
from riacho.server.delta.delta_rs import open_table, translated
from riacho.server.delta.history import commit_times, last_version_until
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.optimize import optimize as run_optimize
from riacho.server.sql.statements import (
    Delete,
    Insert,
    InsertDirectory,
    Merge,
    Name,
    Optimize,
    Refresh,
    Repair,
    Restore,
    Set,
    Update,
    Vacuum,
)

_MIN_RETENTION_HOURS = 168
_WHERE = "SELECT 1 WHERE "
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


def insert(statement: Insert, context: SqlContext) -> pa.Table | None:
    if context.is_temporary(statement.table):
        raise failures.expect_table("INSERT", context.qualify(statement.table), temporary=True)
    relation = context.query(statement.query)
    path = delta_path(statement.table)
    write = TableWrite(
        relation,
        "overwrite" if statement.overwrite else "append",
        path=path,
        table=None if path is not None else context.qualify(statement.table),
        by_position=not statement.by_name,
        create=False,
        assigns=True,
        where=statement.where,
    )
    if statement.columns:
        write = _with_columns(write, statement, context)
    if not write.by_position and write.table is not None:
        _require_columns(context.table(statement.table, "INSERT"), context.session.schema(write.relation))
    context.writes.run(context.session, write)
    return nothing()


def insert_directory(statement: InsertDirectory, context: SqlContext) -> pa.Table:
    """The same as `df.write.mode("overwrite").format(…).save(path)`."""
    command = pb.Command()
    write = command.write_operation
    write.input.CopyFrom(context.query(statement.query))
    write.source, write.path = statement.format, statement.path
    write.mode = pb.WriteOperation.SAVE_MODE_OVERWRITE
    write.options.update(statement.options)
    if not context.writes.write(context.session, write, context.current_database):
        context.session.execute(command)
    return nothing()


def _require_columns(table: Table, given: pa.Schema) -> None:
    """An INSERT by name never adds columns. Raises DELTA_MISSING_COLUMN."""
    known = {name.lower() for name in table.schema.names}
    missing = [name for name in given.names if name.lower() not in known]
    if missing:
        listed = ", ".join(table.schema.names)
        raise AnalysisError.of(
            "DELTA_MISSING_COLUMN",
            f"Cannot find {missing[0]} in table columns: {listed}",
            sql_state="42703",
            columnName=missing[0],
            columnList=listed,
        )


def _with_columns(write: TableWrite, statement: Insert, context: SqlContext) -> TableWrite:
    """INSERT with a list of columns: by name, after the query's columns were called so."""
    given = len(context.session.schema(write.relation))
    if given != len(statement.columns):
        raise arity_mismatch(".".join(statement.table), len(statement.columns), given)
    return replace(write, relation=by_name(write.relation, list(statement.columns)), by_position=False)


def delete(statement: Delete, context: SqlContext) -> pa.Table:
    folder, scope = target(statement.table, statement.alias, "DELETE", context)
    where = _condition(statement.where, context, scope)
    return _counts(dml.delete(context.changes, folder, scope, where, statement.where))


def update(statement: Update, context: SqlContext) -> pa.Table:
    folder, scope = target(statement.table, statement.alias, "UPDATE", context)
    where = _condition(statement.where, context, scope)
    assignments = _assignments(statement.set, context, [scope])
    return _counts(dml.update(context.changes, folder, scope, assignments, where, statement.where))


def merge(statement: Merge, context: SqlContext) -> pa.Table:
    folder, own = target(statement.table, statement.alias, "MERGE", context)
    source, scope = _source(statement, context)
    both = [own, scope]
    clauses = tuple(
        dml.Clause(
            clause.match,
            clause.action,
            _condition(clause.condition, context, *both),
            None if clause.assignments is None else _assignments(clause.assignments, context, both),
        )
        for clause in statement.clauses
    )
    evolve = statement.evolve or context.session.get_conf(AUTO_MERGE, "false") == "true"
    merging = dml.Merging(own, source, scope, _expression(statement.on, context, both), clauses, evolve, statement.on)
    return _counts(dml.merge(context.changes, folder, merging))


def target(name: Name, alias: str | None, operation: str, context: SqlContext) -> tuple[Path, dml.TableScope]:
    """The folder of the table whose rows a statement changes, and how its expressions call it."""
    folder = context.delta_folder(name, operation)
    if alias is not None:
        return folder, dml.TableScope((alias,))
    if delta_path(name) is not None:
        return folder, dml.TableScope(name)
    full = context.qualify(name)
    return folder, dml.TableScope((full.catalog, full.database, full.table))


def _source(statement: Merge, context: SqlContext) -> tuple[pb.Relation, dml.TableScope]:
    """The rows that a MERGE merges, and how its expressions call them."""
    if isinstance(statement.source, str):
        return context.query(statement.source), dml.TableScope(
            (statement.source_alias or "__auto_generated_subquery_name",)
        )
    given = context.inputs.get(statement.source[0]) if len(statement.source) == 1 else None
    if given is not None:
        return given.subquery_alias.input, dml.TableScope((statement.source_alias or statement.source[0],))
    relation = pb.Relation()
    relation.read.named_table.unparsed_identifier = quoted(statement.source)
    parts: Name = statement.source
    if not context.is_temporary(parts) and delta_path(parts) is None:
        full = context.qualify(parts)
        parts = (full.catalog, full.database, full.table)
    return relation, dml.TableScope((statement.source_alias,) if statement.source_alias else parts)


def _condition(text: str | None, context: SqlContext, *scopes: dml.TableScope) -> pb.Expression | None:
    return None if text is None else _expression(text, context, scopes)


def _assignments(given: Set, context: SqlContext, scopes: Sequence[dml.TableScope]) -> tuple[dml.Assignment, ...]:
    return tuple(
        dml.Assignment(column, None if text.upper() == "DEFAULT" else _expression(text, context, scopes))
        for column, text in given
    )


def _expression(text: str, context: SqlContext, scopes: Sequence[dml.TableScope]) -> pb.Expression:
    """An expression of a statement. Its subqueries go the way of a query's: they know tables by any case of a name."""
    if "SELECT" in text.upper():
        text = context.session.prepared(query(f"{_WHERE}{text}")).sql.query.removeprefix(_WHERE)
    return dml.expression(text, scopes)


def optimize(statement: Optimize, context: SqlContext) -> pa.Table:
    folder = context.delta_folder(statement.table, "OPTIMIZE")
    done = run_optimize(folder, context.clock, statement.zorder_by)
    row = {
        "path": f"file:{folder}",
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
    folder = context.delta_folder(statement.table, "VACUUM")
    hours = statement.retain_hours
    checked = context.session.get_conf("spark.databricks.delta.retentionDurationCheck.enabled", "true") != "false"
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
    paths = [str(folder / file) for file in removed] if statement.dry_run else [f"file:{folder}"]
    return pa.table({"path": pa.array(paths, pa.string())})


def restore(statement: Restore, context: SqlContext) -> pa.Table:
    folder = context.delta_folder(statement.table, "RESTORE")
    version = _restored_version(DeltaLog(folder), statement, context)
    done = tables.restore(folder, version, context.clock)
    return pa.table({name: pa.array([count], pa.int64()) for name, count in done.items()})


def fsck(statement: Repair, context: SqlContext) -> pa.Table:
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
    if not context.is_temporary(statement.table):
        context.table(statement.table, "REFRESH TABLE")
    return nothing()


def _counts(counts: Mapping[str, int]) -> pa.Table:
    return pa.table({name: pa.array([count], pa.int64()) for name, count in counts.items()})
