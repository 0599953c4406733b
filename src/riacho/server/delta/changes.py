"""Changes of a whole table, each decided as the actions of one commit. Nothing here touches the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from riacho import __version__, types
from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.ids import new_uuid
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile, Json, Metadata
from riacho.server.delta.protocol import APPEND_ONLY, enabled, protocol_for, upgraded
from riacho.server.delta.state import TableState

ENGINE_INFO = f"riacho/{__version__}"
_NOT_KEPT = frozenset({"delta.minReaderVersion", "delta.minWriterVersion", "comment", "external", "location", "owner"})
"""Table properties that say something about the table and are not among its properties."""


def commit_info(
    operation: str,
    parameters: Mapping[str, Any],
    at_ms: int,
    *,
    read_version: int | None = None,
    blind_append: bool = False,
    metrics: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Json:
    """Who made a version and how, for DESCRIBE HISTORY. `notes`: what it says besides."""
    info: Json = {
        **(notes or {}),
        "timestamp": at_ms,
        "operation": operation,
        "operationParameters": dict(parameters),
        "isolationLevel": "WriteSerializable",
        "isBlindAppend": blind_append,
        "operationMetrics": {key: str(value) for key, value in (metrics or {}).items()},
        "engineInfo": ENGINE_INFO,
        "txnId": new_uuid(),
    }
    if read_version is not None and read_version >= 0:
        info["readVersion"] = read_version
    return {"commitInfo": info}


@dataclass(frozen=True)
class TableDefinition:
    """What CREATE TABLE says of a table."""

    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


def creation(definition: TableDefinition, at_ms: int) -> list[Json]:
    """The first actions of a new table. Raises what `check_writable`, `partition_columns` and `protocol_for` raise."""
    metadata = _metadata(new_uuid(), None, definition, at_ms)
    return [protocol_for(definition.schema, metadata.configuration).to_json(), metadata.to_json()]


def _metadata(table_id: str, name: str | None, definition: TableDefinition, at_ms: int) -> Metadata:
    schemas.check_writable(definition.schema, definition.partition_by)
    return Metadata(
        table_id,
        schemas.to_json(definition.schema),
        partition_columns(definition.schema, definition.partition_by),
        _kept(definition.properties),
        name,
        definition.comment,
        at_ms,
    )


def partition_columns(schema: pa.Schema, partition_by: Sequence[str]) -> tuple[str, ...]:
    """The partition columns by the names that the schema has for them. Raises DELTA_INVALID_PARTITION_COLUMN."""
    known = schemas.column_index(schema)
    missing = [name for name in partition_by if name.lower() not in known]
    if missing:
        raise AnalysisError.of(
            "DELTA_INVALID_PARTITION_COLUMN",
            f"{missing[0]} is not a valid partition column: the table has {', '.join(schema.names)}.",
            sql_state="42996",
            columnName=missing[0],
        )
    return tuple(known[name.lower()].name for name in partition_by)


def alteration(
    state: TableState,
    *,
    schema: pa.Schema | None = None,
    comment: str | None = None,
    properties: Mapping[str, str] | None = None,
    unset: Sequence[str] = (),
) -> list[Json]:
    """The actions that give a table another schema, comment or properties; none if it has them already.

    Raises DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN and what `check_writable` does.
    """
    metadata = state.metadata
    configuration = {k: v for k, v in {**metadata.configuration, **_kept(properties or {})}.items() if k not in unset}
    new_schema = schemas.to_arrow(metadata.schema_json) if schema is None else schema
    schemas.check_writable(new_schema, metadata.partition_columns)
    lost = [name for name in metadata.partition_columns if name not in new_schema.names]
    if lost:
        raise AnalysisError.of(
            "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN",
            f"Dropping partition columns ({', '.join(lost)}) is not allowed.",
            sql_state="0AKDC",
            columnList=", ".join(lost),
        )
    changed = replace(
        metadata,
        schema_json=metadata.schema_json if schema is None else schemas.to_json(schema, metadata.schema_json),
        description=metadata.description if comment is None else comment,
        configuration=configuration,
    )
    protocol = upgraded(state.protocol, protocol_for(new_schema, configuration))
    actions = [] if protocol == state.protocol else [protocol.to_json()]
    return actions if changed == metadata else [*actions, changed.to_json()]


def replacement(state: TableState, definition: TableDefinition, at_ms: int) -> list[Json]:
    """The actions of CREATE OR REPLACE: another schema and layout, all files out, the same table id and history.

    Raises as `creation`, and DELTA_CANNOT_MODIFY_APPEND_ONLY.
    """
    metadata = _metadata(state.metadata.id, state.metadata.name, definition, at_ms)
    protocol = upgraded(state.protocol, protocol_for(definition.schema, metadata.configuration))
    actions = [] if protocol == state.protocol else [protocol.to_json()]
    return [*actions, metadata.to_json(), *removal(state, at_ms)]


def relayout(state: TableState, schema: pa.Schema, partition_by: Sequence[str]) -> list[Json]:
    """The actions that give a table another schema and other partitions, for a write that takes all files out.

    Columns that stay keep nothing of what they were but their comments. Raises as `protocol_for`.
    """
    comments = {f.name: types.comment_of(f) for f in schemas.to_arrow(state.metadata.schema_json)}
    commented = [types.with_comment(f, types.comment_of(f) or comments.get(f.name)) for f in schema]
    metadata = replace(
        state.metadata, schema_json=schemas.to_json(pa.schema(commented)), partition_columns=tuple(partition_by)
    )
    protocol = upgraded(state.protocol, protocol_for(schema, metadata.configuration))
    actions = [] if protocol == state.protocol else [protocol.to_json()]
    return actions if metadata == state.metadata else [*actions, metadata.to_json()]


def removal(state: TableState, at_ms: int) -> list[Json]:
    """The actions that take all files out of a table. `state` must have been loaded with its files.

    Raises DELTA_CANNOT_MODIFY_APPEND_ONLY.
    """
    files: list[AddFile] = list(require_files(state).values())
    if files and enabled(state.metadata.configuration, APPEND_ONLY):
        raise append_only(state.metadata.name)
    return [file.removed(at_ms) for file in files]


def require_files(state: TableState) -> dict[tuple[str, str | None], AddFile]:
    """The files of a state that was loaded with them."""
    assert state.files is not None, "this state was loaded without its files"
    return state.files


def append_only(table: str | None) -> UnsupportedOperationError:
    """The error for a change of a table that only takes appends."""
    return UnsupportedOperationError.of(
        "DELTA_CANNOT_MODIFY_APPEND_ONLY",
        "This table is configured to only allow appends. If you would like to permit updates or deletes, use "
        f"'ALTER TABLE {table or '<table_name>'} SET TBLPROPERTIES ({APPEND_ONLY}=false)'.",
        sql_state="42809",
        table_name=table or "",
        config=APPEND_ONLY,
    )


def _kept(properties: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in properties.items() if key not in _NOT_KEPT}
