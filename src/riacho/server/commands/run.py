"""Run a statement: each kind has its function in `ddl`, `constraints`, `describe`, `dml` or `maintenance`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from riacho.server.commands import constraints, ddl, describe, dml, maintenance
from riacho.server.commands.context import SqlContext
from riacho.server.sql import statements

_RUN: dict[type, Callable[[Any, SqlContext], pa.Table | None]] = {
    statements.CreateDatabase: ddl.create_database,
    statements.DropDatabase: ddl.drop_database,
    statements.Use: ddl.use,
    statements.ShowDatabases: ddl.show_databases,
    statements.ShowTables: ddl.show_tables,
    statements.CreateTable: ddl.create_table,
    statements.CreateView: ddl.create_view,
    statements.Drop: ddl.drop,
    statements.Truncate: ddl.truncate,
    statements.SetProperties: ddl.set_properties,
    statements.AddColumns: ddl.add_columns,
    statements.AlterColumn: ddl.alter_column,
    statements.RenameTable: ddl.rename,
    statements.Constrain: constraints.constrain,
    statements.Comment: ddl.comment,
    statements.DescribeDatabase: describe.describe_database,
    statements.DescribeTable: describe.describe_table,
    statements.DescribeDetail: describe.describe_detail,
    statements.DescribeHistory: describe.describe_history,
    statements.ShowProperties: describe.show_properties,
    statements.ShowColumns: describe.show_columns,
    statements.ShowCreateTable: describe.show_create_table,
    statements.Insert: dml.insert,
    statements.InsertDirectory: dml.insert_directory,
    statements.Delete: dml.delete,
    statements.Update: dml.update,
    statements.Merge: dml.merge,
    statements.Optimize: maintenance.optimize,
    statements.Vacuum: maintenance.vacuum,
    statements.Restore: maintenance.restore,
    statements.Repair: maintenance.fsck,
    statements.Refresh: maintenance.refresh,
}


def run(statement: statements.Statement, context: SqlContext) -> pa.Table | None:
    """Run a statement and give its rows, with Spark's columns; None if it turns out to be the engine's after all.

    Raises SparkError. The session's current database is another one after USE.
    """
    with context.at_end:
        return _RUN[type(statement)](statement, context)
