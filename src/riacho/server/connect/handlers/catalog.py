"""The catalog API (`spark.catalog`), where riacho knows better than the engine."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from riacho.protos import pb
from riacho.server.catalog.base import CATALOG_NAME, Table, TableName
from riacho.server.catalog.names import database_name
from riacho.server.commands import SqlContext
from riacho.server.commands import catalog_calls as api
from riacho.server.connect.handlers import views
from riacho.server.connect.operations import Responses
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.engine.base import GLOBAL
from riacho.server.sql.tokens import parse_identifier

_TABLE_COLUMNS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("catalog", pa.string()),
        pa.field("namespace", pa.list_(pa.string())),
        pa.field("description", pa.string()),
        pa.field("tableType", pa.string(), nullable=False),
        pa.field("isTemporary", pa.bool_(), nullable=False),
    ]
)


def answer(services: Services, session: ServerSession, request: pb.Catalog) -> Responses | None:
    """The reply to a call about tables; None for what the engine answers. Raises as `qualify`, SCHEMA_NOT_FOUND."""
    match request.WhichOneof("cat_type"):
        case "get_table":
            asked = request.get_table
            found = _find(services, session, asked.table_name, asked.db_name if asked.HasField("db_name") else None)
            return None if found is None else _reply([found])
        case "list_tables" if not request.list_tables.HasField("pattern"):
            asked_for = request.list_tables
            database = asked_for.db_name if asked_for.HasField("db_name") else session.current_database
            named = services.catalog.tables(parse_identifier(database)[-1])
            return _reply([*(_described(services, name) for name in named), *_temporary(session)])
        case "set_current_database":
            database = database_name(request.set_current_database.db_name)
            services.catalog.database_location(database)
            session.engine.use(database)
            return _rows(api.NOTHING.empty_table())
        case "drop_temp_view":
            return _truth(views.drop(session, request.drop_temp_view.view_name))
        case "drop_global_temp_view":
            return _truth(views.drop(session, GLOBAL + request.drop_global_temp_view.view_name))
        case _:
            context = SqlContext(services.catalog, session.engine, session.temporary_views, services.clock)
            rows = api.answer(request, context)
            return None if rows is None else _rows(rows)


def _find(services: Services, session: ServerSession, name: str, database: str | None) -> dict[str, object] | None:
    """The row of a table or persisted view; None for temporary views, and for names that there are not."""
    if database is None and name.lower() in session.temporary_views:
        return None
    full = services.catalog.qualify(name, database or session.current_database)
    known = services.catalog.table(full) or services.catalog.view(full)
    return None if known is None else _described(services, full)


def _described(services: Services, name: TableName) -> dict[str, object]:
    table = services.catalog.table(name)
    view = services.catalog.view(name)
    comment = table.comment if table else view.comment if view else None
    return {
        "name": name.table,
        "catalog": CATALOG_NAME,
        "namespace": [name.database],
        "description": comment,
        "tableType": _type(table),
        "isTemporary": False,
    }


def _type(table: Table | None) -> str:
    if table is None:
        return "VIEW"
    return "EXTERNAL" if table.external else "MANAGED"


def _temporary(session: ServerSession) -> list[dict[str, object]]:
    shown = sorted(name for name in session.temporary_views if "." not in name)
    return [{"name": name, "tableType": "TEMPORARY", "isTemporary": True, "namespace": []} for name in shown]


def _reply(rows: Sequence[dict[str, object]]) -> Responses:
    return _rows(pa.Table.from_pylist(list(rows), _TABLE_COLUMNS))


def _truth(value: bool) -> Responses:
    return _rows(pa.table([[value]], schema=pa.schema([pa.field("value", pa.bool_(), nullable=False)])))


def _rows(rows: pa.Table) -> Responses:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        # A result without rows still has a batch: from it the client learns the columns.
        for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]:
            writer.write_batch(batch)
    response = pb.ExecutePlanResponse()
    response.arrow_batch.data = sink.getvalue().to_pybytes()
    response.arrow_batch.row_count = rows.num_rows
    yield response.SerializeToString()
