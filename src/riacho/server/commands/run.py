"""Do what a statement says. See `run_names`, `run_describe`, `run_rows` for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from riacho.server.commands import constraints as run_constraints
from riacho.server.commands import describe as run_describe
from riacho.server.commands import names as run_names
from riacho.server.commands import rows as run_rows
from riacho.server.commands.context import SqlContext
from riacho.server.sql import statements

_RUN: dict[type, Callable[[Any, SqlContext], pa.Table | None]] = {
    statements.CreateDatabase: run_names.create_database,
    statements.DropDatabase: run_names.drop_database,
    statements.Use: run_names.use,
    statements.ShowDatabases: run_names.show_databases,
    statements.ShowTables: run_names.show_tables,
    statements.CreateTable: run_names.create_table,
    statements.CreateView: run_names.create_view,
    statements.Drop: run_names.drop,
    statements.Truncate: run_names.truncate,
    statements.SetProperties: run_names.set_properties,
    statements.AddColumns: run_names.add_columns,
    statements.AlterColumn: run_names.alter_column,
    statements.RenameTable: run_names.rename,
    statements.Constrain: run_constraints.constrain,
    statements.Comment: run_names.comment,
    statements.DescribeDatabase: run_describe.describe_database,
    statements.DescribeTable: run_describe.describe_table,
    statements.DescribeDetail: run_describe.describe_detail,
    statements.DescribeHistory: run_describe.describe_history,
    statements.ShowProperties: run_describe.show_properties,
    statements.ShowColumns: run_describe.show_columns,
    statements.ShowCreateTable: run_describe.show_create_table,
    statements.Insert: run_rows.insert,
    statements.InsertDirectory: run_rows.insert_directory,
    statements.Delete: run_rows.delete,
    statements.Update: run_rows.update,
    statements.Merge: run_rows.merge,
    statements.Optimize: run_rows.optimize,
    statements.Vacuum: run_rows.vacuum,
    statements.Restore: run_rows.restore,
    statements.Repair: run_rows.fsck,
    statements.Refresh: run_rows.refresh,
}


def run(statement: statements.Statement, context: SqlContext) -> pa.Table | None:
    """Run a statement and give its rows, with Spark's columns; None if it turns out to be the engine's after all.

    Raises SparkError. The session's current database is another one after USE.
    """
    return _RUN[type(statement)](statement, context)
