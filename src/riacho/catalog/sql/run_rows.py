"""Rows inserted, deleted, updated and merged; files compacted and removed.

Deletes, updates and merges of a table with a change feed or CHECK constraints are delta-rs's, because the engine cannot
write such tables; conditions are then read by DataFusion, whose SQL is the same where it is plain. All others are the
engine's.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.catalog.base import Table
from riacho.catalog.delta.protocol import CHANGE_FEED, AppendRoute, append_route, enabled
from riacho.catalog.delta.rust import open_table, translated
from riacho.catalog.sql.context import SqlContext, nothing, query
from riacho.catalog.sql.statements import (
    Delete,
    Insert,
    InsertDirectory,
    Merge,
    MergeClause,
    Name,
    Optimize,
    Refresh,
    Restore,
    Update,
    Vacuum,
)
from riacho.catalog.write import TableWrite, arity_mismatch, by_name
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.paths import delta_path
from riacho.protos import pb

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


def insert(statement: Insert, context: SqlContext) -> pa.Table | None:
    if context.is_temporary(statement.table):
        return None
    relation = query(statement.query)
    path = delta_path(statement.table)
    write = TableWrite(
        relation,
        "overwrite" if statement.overwrite else "append",
        path=path,
        table=None if path is not None else context.qualify(statement.table),
        by_position=not statement.by_name,
        create=False,
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
    write.input.CopyFrom(query(statement.query))
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


def delete(statement: Delete, context: SqlContext) -> pa.Table | None:
    folder = _changed_by_delta_rs(statement.table, "DELETE", context)
    if folder is None:
        return None
    with translated(folder):
        metrics = open_table(folder).delete(_plain(statement.where, statement.alias or statement.table[-1]))
    return _counts(num_affected_rows=metrics.get("num_deleted_rows"))


def update(statement: Update, context: SqlContext) -> pa.Table | None:
    folder = _changed_by_delta_rs(statement.table, "UPDATE", context)
    if folder is None:
        return None
    alias = statement.alias or statement.table[-1]
    updates = {types.quote(column): _plain(value, alias) or "NULL" for column, value in statement.set.items()}
    with translated(folder):
        metrics = open_table(folder).update(updates=updates, predicate=_plain(statement.where, alias))
    return _counts(num_affected_rows=metrics.get("num_updated_rows"))


def merge(statement: Merge, context: SqlContext) -> pa.Table | None:
    folder = _changed_by_delta_rs(statement.table, "MERGE", context)
    if folder is None:
        return None
    source = context.session.run(query(_source_query(statement.source)))
    target_alias = statement.alias or statement.table[-1]
    source_alias = statement.source_alias or _last_name(statement.source)
    with translated(folder):
        merger = open_table(folder).merge(
            source, statement.on, source_alias, target_alias, error_on_type_mismatch=False
        )
        for clause in statement.clauses:
            _add_clause(merger, clause)
        metrics = merger.execute()
    updated, deleted, inserted = (
        metrics.get(f"num_target_rows_{what}", 0) for what in ("updated", "deleted", "inserted")
    )
    return _counts(
        num_affected_rows=updated + deleted + inserted,
        num_updated_rows=updated,
        num_deleted_rows=deleted,
        num_inserted_rows=inserted,
    )


def _add_clause(merger: Any, clause: MergeClause) -> None:
    assigned = None
    if clause.assignments is not None:
        assigned = {types.quote(column): value for column, value in clause.assignments.items()}
    match clause.match, clause.action:
        case "matched", "update" if assigned is None:
            merger.when_matched_update_all(clause.condition)
        case "matched", "update":
            merger.when_matched_update(assigned, clause.condition)
        case "matched", "delete":
            merger.when_matched_delete(clause.condition)
        case "not_matched", "insert" if assigned is None:
            merger.when_not_matched_insert_all(clause.condition)
        case "not_matched", "insert":
            merger.when_not_matched_insert(assigned, clause.condition)
        case "not_matched_by_source", "update":
            merger.when_not_matched_by_source_update(assigned, clause.condition)
        case "not_matched_by_source", "delete":
            merger.when_not_matched_by_source_delete(clause.condition)
        case match, action:
            raise AnalysisError(f"WHEN {match.upper().replace('_', ' ')} THEN {action.upper()} is no clause of MERGE.")


def optimize(statement: Optimize, context: SqlContext) -> pa.Table:
    folder = context.delta_folder(statement.table, "OPTIMIZE")
    table = open_table(folder)
    with translated(folder):
        metrics = table.optimize.z_order([*statement.zorder_by]) if statement.zorder_by else table.optimize.compact()
    row = {
        "path": f"file:{folder}",
        "metrics": {
            "numFilesAdded": metrics["numFilesAdded"],
            "numFilesRemoved": metrics["numFilesRemoved"],
            "filesAdded": _file_metrics(metrics["filesAdded"]),
            "filesRemoved": _file_metrics(metrics["filesRemoved"]),
            "partitionsOptimized": metrics["partitionsOptimized"],
            "numBatches": metrics["numBatches"],
            "totalConsideredFiles": metrics["totalConsideredFiles"],
            "totalFilesSkipped": metrics["totalFilesSkipped"],
        },
    }
    return pa.Table.from_pylist([row], _OPTIMIZED)


def _file_metrics(found: Any) -> dict[str, Any]:
    if isinstance(found, str):
        found = json.loads(found)
    return {field.name: found.get(field.name) for field in _FILES}


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
    target: int | datetime = statement.version or 0
    if statement.timestamp is not None:
        moment = datetime.fromisoformat(statement.timestamp)
        target = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    with translated(folder):
        metrics = open_table(folder).restore(target)
    return _counts(
        num_restored_files=int(metrics.get("numRestoredFile", 0)),
        num_removed_files=int(metrics.get("numRemovedFile", 0)),
    )


def refresh(statement: Refresh, context: SqlContext) -> pa.Table:
    if not context.is_temporary(statement.table):
        context.table(statement.table, "REFRESH TABLE")
    return nothing()


def _changed_by_delta_rs(name: Name, operation: str, context: SqlContext) -> Path | None:
    """The folder of a table whose rows only delta-rs can change; None for those that the engine changes."""
    folder = context.delta_folder(name, operation)
    state = context.delta_state(folder)
    feed = enabled(state.metadata.configuration, CHANGE_FEED)
    constrained = append_route(folder, state.protocol, state.metadata) is AppendRoute.DELTA_RS
    return folder if feed or constrained else None


def _plain(text: str | None, alias: str) -> str | None:
    """A condition without the table's alias before its columns: delta-rs knows the table by no name."""
    return None if text is None else re.sub(rf"(?<![\w`.])`?{re.escape(alias)}`?\.", "", text, flags=re.IGNORECASE)


def _source_query(source: str) -> str:
    return source.replace("TABLE ", "SELECT * FROM ", 1) if source.startswith("TABLE ") else source


def _last_name(source: str) -> str:
    return source.removeprefix("TABLE ").split(".")[-1].strip("`") if source.startswith("TABLE ") else "source"


def _counts(**counts: int | None) -> pa.Table:
    return pa.table({name: pa.array([count], pa.int64()) for name, count in counts.items()})
