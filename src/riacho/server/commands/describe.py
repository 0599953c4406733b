"""What is known of databases and tables, in the words and columns of Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.identifiers import quote_if_needed
from riacho.paths import qualified
from riacho.server.catalog.base import CATALOG_NAME, Table, View
from riacho.server.catalog.names import database_name
from riacho.server.commands.context import SqlContext, rows
from riacho.server.delta.actions import Commit, Protocol
from riacho.server.delta.history import commit_times
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import load_state
from riacho.server.sql.statements import (
    DescribeDatabase,
    DescribeDetail,
    DescribeHistory,
    DescribeTable,
    Name,
    ShowColumns,
    ShowCreateTable,
    ShowProperties,
)
from riacho.server.sql.tokens import string_literal
from riacho.storage import delta_place

_DESCRIBED = ("col_name", "data_type", "comment")
_TEXT_MAP = pa.map_(pa.string(), pa.string())
_JOB = pa.struct([(key, pa.string()) for key in ("jobId", "jobName", "jobRunId", "runId", "jobOwnerId", "triggerType")])
_HISTORY = pa.schema(
    [
        ("version", pa.int64()),
        ("timestamp", types.TIMESTAMP),
        ("userId", pa.string()),
        ("userName", pa.string()),
        ("operation", pa.string()),
        ("operationParameters", _TEXT_MAP),
        ("job", _JOB),
        ("notebook", pa.struct([("notebookId", pa.string())])),
        ("clusterId", pa.string()),
        ("readVersion", pa.int64()),
        ("isolationLevel", pa.string()),
        ("isBlindAppend", pa.bool_()),
        ("operationMetrics", _TEXT_MAP),
        ("userMetadata", pa.string()),
        ("engineInfo", pa.string()),
    ]
)
_DETAIL = pa.schema(
    [
        ("format", pa.string()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("description", pa.string()),
        ("location", pa.string()),
        ("createdAt", types.TIMESTAMP),
        ("lastModified", types.TIMESTAMP),
        ("partitionColumns", pa.list_(pa.string())),
        ("clusteringColumns", pa.list_(pa.string())),
        ("numFiles", pa.int64()),
        ("sizeInBytes", pa.int64()),
        ("properties", _TEXT_MAP),
        ("minReaderVersion", pa.int32()),
        ("minWriterVersion", pa.int32()),
        ("tableFeatures", pa.list_(pa.string())),
    ]
)


def describe_database(statement: DescribeDatabase, context: SqlContext) -> pa.Table:
    """Raises SCHEMA_NOT_FOUND, and as `database_name`."""
    name = database_name(statement.name)
    found = [
        ("Catalog Name", CATALOG_NAME),
        ("Namespace Name", name),
        ("Comment", context.catalog.database_comment(name) or ""),
        ("Location", qualified(context.catalog.database_location(name))),
    ]
    if statement.extended:
        found.append(("Properties", ""))
    return rows(("info_name", "info_value"), [*found])


def describe_table(statement: DescribeTable, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and what the engine says of a view that it cannot read."""
    if context.is_temporary(statement.table):
        return rows(_DESCRIBED, _columns(context.schema_of(statement.table)))
    table, view = _table_or_view(statement.table, context)
    if table is None:
        described = _columns(context.schema_of(statement.table))
        extended = _view_details(view) if view is not None else []
    else:
        described = [*_columns(table.schema), *_partitions(table)]
        extended = _table_details(table)
    if statement.extended:
        described += [("", "", ""), ("# Detailed Table Information", "", ""), *extended]
    return rows(_DESCRIBED, described)


def _table_or_view(name: Name, context: SqlContext) -> tuple[Table | None, View | None]:
    view = context.catalog.view(context.qualify(name))
    return (None, view) if view is not None else (context.table(name, "DESCRIBE"), None)


def _columns(schema: pa.Schema) -> list[tuple[str | None, ...]]:
    return [(field.name, simple_type(field.type), types.comment_of(field)) for field in schema]


def _partitions(table: Table) -> list[tuple[str | None, ...]]:
    if not table.partition_by:
        return []
    columns = _columns(pa.schema([table.schema.field(name) for name in table.partition_by]))
    return [("# Partition Information", "", ""), ("# col_name", "data_type", "comment"), *columns]


def _table_details(table: Table) -> list[tuple[str | None, ...]]:
    return [
        ("Catalog", CATALOG_NAME, ""),
        ("Namespace", table.name.database, ""),
        ("Database", table.name.database, ""),
        ("Table", table.name.table, ""),
        ("Type", "EXTERNAL" if table.external else "MANAGED", ""),
        *([("Comment", table.comment, "")] if table.comment else []),
        ("Location", qualified(table.location), ""),
        ("Provider", table.format, ""),
        *([] if table.external else [("Is_managed_location", "true", "")]),
        ("Table Properties", "[" + ",".join(f"{k}={v}" for k, v in _shown_properties(table).items()) + "]", ""),
    ]


def _view_details(view: View) -> list[tuple[str | None, ...]]:
    return [
        ("Catalog", CATALOG_NAME, ""),
        ("Database", view.name.database, ""),
        ("Table", view.name.table, ""),
        ("Type", "VIEW", ""),
        *([("Comment", view.comment, "")] if view.comment else []),
        ("View Text", view.text, ""),
        ("View Original Text", view.text, ""),
        ("View Catalog and Namespace", f"{CATALOG_NAME}.{view.name.database}", ""),
    ]


def show_properties(statement: ShowProperties, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and for Delta as `load_state`."""
    table = context.table(statement.table, "SHOW TBLPROPERTIES")
    found = _shown_properties(table)
    if statement.key is None:
        return rows(("key", "value"), [*found.items()])
    missing = f"Table {table.name} does not have property: {statement.key}"
    return rows(("key", "value"), [(statement.key, found.get(statement.key, missing))])


def _shown_properties(table: Table) -> dict[str, str]:
    """A table's properties, and for Delta its protocol in their form."""
    found = dict(table.properties)
    if table.format == "delta":
        found |= _protocol_properties(load_state(DeltaLog(table.location)).protocol)
    return dict(sorted(found.items()))


def _protocol_properties(protocol: Protocol) -> dict[str, str]:
    features = {f"delta.feature.{name}": "supported" for name in protocol.writer_features | protocol.reader_features}
    return {
        **features,
        "delta.minReaderVersion": str(protocol.min_reader),
        "delta.minWriterVersion": str(protocol.min_writer),
    }


def show_columns(statement: ShowColumns, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and what the engine says of a view that it cannot read."""
    table = None if context.is_temporary(statement.table) else _table_or_view(statement.table, context)[0]
    schema = context.schema_of(statement.table) if table is None else table.schema
    return rows(("col_name",), [(name,) for name in schema.names])


def show_create_table(statement: ShowCreateTable, context: SqlContext) -> pa.Table:
    """Spark refuses this for Delta tables; here it is the statement that makes the table again."""
    table = context.table(statement.table, "SHOW CREATE TABLE")
    columns = ",\n".join(f"  {_column_text(field)}" for field in table.schema)
    lines = [f"CREATE TABLE {table.name} (\n{columns})", f"USING {table.format}"]
    if table.partition_by:
        lines.append(f"PARTITIONED BY ({', '.join(quote_if_needed(name) for name in table.partition_by)})")
    if table.comment:
        lines.append(f"COMMENT {string_literal(table.comment)}")
    if table.external:
        lines.append(f"LOCATION {string_literal(qualified(table.location))}")
    if table.properties:
        listed = ",\n".join(f"  {string_literal(k)} = {string_literal(v)}" for k, v in sorted(table.properties.items()))
        lines.append(f"TBLPROPERTIES (\n{listed})")
    return rows(("createtab_stmt",), [("\n".join(lines) + "\n",)])


def _column_text(field: pa.Field) -> str:
    comment = types.comment_of(field)
    return (
        f"{quote_if_needed(field.name)} {types.type_to_ddl(field.type)}"
        f"{'' if field.nullable else ' NOT NULL'}{'' if comment is None else ' COMMENT ' + string_literal(comment)}"
    )


def describe_detail(statement: DescribeDetail, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.delta_folder` and `load_state`."""
    folder = context.delta_folder(statement.table, "DESCRIBE DETAIL")
    log = DeltaLog(folder)
    state = load_state(log, with_files=True)
    held = (state.files or {}).values()
    name = None if delta_place(statement.table) is not None else str(context.qualify(statement.table))
    row = {
        "format": "delta",
        "id": state.metadata.id,
        "name": name,
        "description": state.metadata.description,
        "location": qualified(folder),
        "createdAt": _moment(state.metadata.created_ms),
        "lastModified": _moment(log.read(state.version).timestamp_ms),
        "partitionColumns": list(state.metadata.partition_columns),
        "clusteringColumns": [],
        "numFiles": len(held),
        "sizeInBytes": sum(file.size for file in held),
        "properties": dict(state.metadata.configuration),
        "minReaderVersion": state.protocol.min_reader,
        "minWriterVersion": state.protocol.min_writer,
        "tableFeatures": sorted(state.protocol.writer_features | state.protocol.reader_features),
    }
    return pa.Table.from_pylist([row], _DETAIL)


def describe_history(statement: DescribeHistory, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.delta_folder` and `commit_times`."""
    log = DeltaLog(context.delta_folder(statement.table, "DESCRIBE HISTORY"))
    newest_first = sorted(commit_times(log), reverse=True)[: statement.limit]
    return pa.Table.from_pylist([_history_row(log.read(version), time) for version, time in newest_first], _HISTORY)


def _history_row(commit: Commit, time_ms: int) -> dict[str, Any]:
    info = commit.info
    return {
        "version": commit.version,
        "timestamp": _moment(time_ms),
        "userId": info.get("userId"),
        "userName": info.get("userName"),
        "operation": info.get("operation"),
        "operationParameters": _texts(info.get("operationParameters")),
        "readVersion": info.get("readVersion"),
        "isolationLevel": info.get("isolationLevel"),
        "isBlindAppend": info.get("isBlindAppend"),
        "operationMetrics": _texts(info.get("operationMetrics")),
        "userMetadata": info.get("userMetadata"),
        "engineInfo": info.get("engineInfo"),
    }


def _texts(values: dict[str, Any] | None) -> list[tuple[str, str]]:
    return [
        (key, value if isinstance(value, str) else str(value))
        for key, value in (values or {}).items()
        if value is not None
    ]


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def simple_type(arrow: pa.DataType) -> str:
    """A type as Spark's `simpleString` has it: `bigint`, `array<string>`, `struct<a:int>`.

    Raises UNSUPPORTED_DATATYPE.
    """
    arrow = types.normalise(arrow)
    if pa.types.is_struct(arrow):
        return f"struct<{','.join(f'{f.name}:{simple_type(f.type)}' for f in arrow)}>"
    if pa.types.is_map(arrow):
        return f"map<{simple_type(arrow.key_type)},{simple_type(arrow.item_type)}>"
    if pa.types.is_list(arrow):
        return f"array<{simple_type(arrow.value_type)}>"
    return types.type_to_ddl(arrow).lower()
