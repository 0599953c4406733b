"""The calls of `spark.catalog` that are about databases, tables and views, answered with Spark's columns.

Calls about functions, caches and temporary views are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from riacho import types
from riacho.conf import SOURCES_DEFAULT
from riacho.paths import qualified
from riacho.protos import pb
from riacho.server.catalog.base import CATALOG_NAME, TableName
from riacho.server.catalog.names import database_name
from riacho.server.commands import ddl, describe, maintenance
from riacho.server.commands.context import SqlContext
from riacho.server.commands.describe import simple_type
from riacho.server.commands.patterns import matches
from riacho.server.sql import statements as sql
from riacho.server.sql.cursor import dotted_name
from riacho.storage import place_of

_DATABASE = pa.schema([(name, pa.string()) for name in ("name", "catalog", "description", "locationUri")])
_COLUMN = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("name", "description", "dataType")),
        *(pa.field(name, pa.bool_(), nullable=False) for name in ("nullable", "isPartition", "isBucket", "isCluster")),
    ]
)
_TABLE = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("catalog", pa.string()),
        pa.field("namespace", pa.list_(pa.string())),
        pa.field("description", pa.string()),
        pa.field("tableType", pa.string()),
        pa.field("isTemporary", pa.bool_(), nullable=False),
    ]
)
NOTHING = pa.schema([pa.field("value", pa.string(), nullable=False)])
"""The columns of a reply to a call that gives nothing back."""


def answer(call: pb.Catalog, context: SqlContext) -> pa.Table | None:
    """The reply to a call; None for those that are the engine's. Raises SparkError."""
    kind = call.WhichOneof("cat_type") or ""
    rule = _CALLS.get(kind)
    return None if rule is None else rule(getattr(call, kind), context)


def _list_databases(call: pb.ListDatabases, context: SqlContext) -> pa.Table:
    pattern = call.pattern if call.HasField("pattern") else None
    return _databases([name for name in context.catalog.databases() if matches(name, pattern)], context)


def _get_database(call: pb.GetDatabase, context: SqlContext) -> pa.Table:
    return _databases([database_name(call.db_name)], context)


def _databases(names: list[str], context: SqlContext) -> pa.Table:
    catalog = context.catalog
    found = [
        {
            "name": name,
            "catalog": CATALOG_NAME,
            "description": catalog.database_comment(name) or "",
            "locationUri": qualified(catalog.database_location(name)),
        }
        for name in names
    ]
    return pa.Table.from_pylist(found, _DATABASE)


def _database_exists(call: pb.DatabaseExists, context: SqlContext) -> pa.Table:
    return _truth(database_name(call.db_name) in context.catalog.databases())


def _create_database(call: pb.CreateDatabase, context: SqlContext) -> pa.Table:
    comment = call.properties.get("comment")
    name = dotted_name(call.db_name)
    return _done(ddl.create_database(sql.CreateDatabase(name, call.if_not_exists, comment), context))


def _drop_database(call: pb.DropDatabase, context: SqlContext) -> pa.Table:
    name = dotted_name(call.db_name)
    return _done(ddl.drop_database(sql.DropDatabase(name, call.if_exists, call.cascade), context))


def _table_exists(call: pb.TableExists, context: SqlContext) -> pa.Table:
    name = _name(call.table_name, call.db_name if call.HasField("db_name") else None)
    full = context.qualify(name)
    known = context.catalog.table(full) if full.path is not None else context.catalog.listing().has(full)
    return _truth(context.is_temporary(name) or bool(known))


def _list_columns(call: pb.ListColumns, context: SqlContext) -> pa.Table:
    name = _name(call.table_name, call.db_name if call.HasField("db_name") else None)
    table = None if context.is_temporary(name) else context.catalog.table(context.qualify(name))
    schema = context.schema_of(name) if table is None else table.schema
    partitions = () if table is None else table.partition_by
    found = [
        {
            "name": field.name,
            "description": types.comment_of(field),
            "dataType": simple_type(field.type),
            "nullable": field.nullable,
            "isPartition": field.name in partitions,
            "isBucket": False,
            "isCluster": False,
        }
        for field in schema
    ]
    return pa.Table.from_pylist(found, _COLUMN)


def _create_table(call: pb.CreateTable, context: SqlContext) -> pa.Table:
    """Both `createTable` and `createExternalTable`. The reply has the table's columns."""
    table = context.catalog.create_table(
        context.qualify(dotted_name(call.table_name)),
        types.schema_from_proto(call.schema) if call.HasField("schema") else pa.schema([]),
        format=call.source or SOURCES_DEFAULT.read(context.session.get_conf),
        comment=getattr(call, "description", "") or None,
        location=place_of(call.path) if call.path else None,
        options=dict(call.options),
    )
    return types.nullable(table.schema).empty_table()


def _list_views(call: pb.ListViews, context: SqlContext) -> pa.Table:
    database = database_name(call.db_name) if call.HasField("db_name") else context.current_database
    pattern = call.pattern if call.HasField("pattern") else None
    found = [
        _view_row(name, context)
        for name in context.catalog.tables(database)
        if context.catalog.view(name) is not None and matches(name.table, pattern)
    ]
    return pa.Table.from_pylist(found, _TABLE)


def _view_row(name: TableName, context: SqlContext) -> dict[str, object]:
    view = context.catalog.view(name)
    return {
        "name": name.table,
        "catalog": CATALOG_NAME,
        "namespace": [name.database],
        "description": None if view is None else view.comment,
        "tableType": "VIEW",
        "isTemporary": False,
    }


def _drop_table(call: pb.DropTable, context: SqlContext) -> pa.Table:
    return _done(ddl.drop(sql.Drop(dotted_name(call.table_name), False, call.if_exists), context))


def _drop_view(call: pb.DropView, context: SqlContext) -> pa.Table:
    return _done(ddl.drop(sql.Drop(dotted_name(call.view_name), True, call.if_exists), context))


def _truncate_table(call: pb.TruncateTable, context: SqlContext) -> pa.Table:
    return _done(ddl.truncate(sql.Truncate(dotted_name(call.table_name)), context))


def _table_properties(call: pb.GetTableProperties, context: SqlContext) -> pa.Table:
    return describe.show_properties(sql.ShowProperties(dotted_name(call.table_name)), context)


def _create_table_string(call: pb.GetCreateTableString, context: SqlContext) -> pa.Table:
    return describe.show_create_table(sql.ShowCreateTable(dotted_name(call.table_name)), context)


def _refresh_table(call: pb.RefreshTable, context: SqlContext) -> pa.Table:
    return _done(maintenance.refresh(sql.Refresh(dotted_name(call.table_name)), context))


def _name(table: str, database: str | None) -> tuple[str, ...]:
    return dotted_name(table) if database is None else (database_name(database), dotted_name(table)[-1])


def _truth(value: bool) -> pa.Table:
    return pa.table([[value]], schema=pa.schema([pa.field("value", pa.bool_(), nullable=False)]))


def _done(_: object) -> pa.Table:
    """The reply to a call that gives nothing back."""
    return NOTHING.empty_table()


_CALLS: dict[str, Callable[..., pa.Table]] = {
    "list_databases": _list_databases,
    "get_database": _get_database,
    "database_exists": _database_exists,
    "create_database": _create_database,
    "drop_database": _drop_database,
    "table_exists": _table_exists,
    "list_columns": _list_columns,
    "create_table": _create_table,
    "create_external_table": _create_table,
    "list_views": _list_views,
    "drop_table": _drop_table,
    "drop_view": _drop_view,
    "truncate_table": _truncate_table,
    "get_table_properties": _table_properties,
    "get_create_table_string": _create_table_string,
    "refresh_table": _refresh_table,
}
