"""INSERT into a temporary view that stands for a table of a database: `CREATE TEMPORARY VIEW v USING jdbc …`.

Spark writes through views of its JDBC source, and through no others. Source: `InsertIntoDataSourceCommand`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.batch import writes
from riacho.server.batch.write_context import WriteContext
from riacho.server.catalog.assignment import policy, to_delta
from riacho.server.catalog.write import by_name
from riacho.server.commands import SqlContext
from riacho.server.engine.base import OWN_FORMAT, OWN_READ, EngineSession
from riacho.server.plan import build
from riacho.server.sql.statements import Insert

INSERTABLE: Final = ("jdbc",)
"""The formats whose views take rows."""


@dataclass(frozen=True)
class ViewInsert:
    """Rows for a view: `columns` are those that they are meant for, all of the view if it is empty; with `by_name` the
    rows' own names say it.
    """

    view: str
    rows: pb.Relation
    columns: Sequence[str] = ()
    by_name: bool = False
    overwrite: bool = False


def of_statement(statement: Insert, sql: SqlContext) -> ViewInsert | None:
    """What an INSERT asks for; None if it names no such view."""
    name = ".".join(statement.table)
    if _named(sql.session, name) is None:
        return None
    query = sql.query(statement.query)
    return ViewInsert(name, query, statement.columns, statement.by_name, statement.overwrite)


def of_operation(operation: pb.WriteOperation, session: EngineSession) -> ViewInsert | None:
    """What `df.write.insertInto` asks for; None if it is another write, or names no such view."""
    table = operation.table
    if table.save_method != pb.WriteOperation.SaveTable.TABLE_SAVE_METHOD_INSERT_INTO:
        return None
    if _named(session, table.table_name) is None:
        return None
    overwrite = operation.mode == pb.WriteOperation.SAVE_MODE_OVERWRITE
    return ViewInsert(table.table_name, operation.input, overwrite=overwrite)


def insert(context: WriteContext, given: ViewInsert) -> None:
    """Do it.

    Raises INSERT_COLUMN_ARITY_MISMATCH, UNRESOLVED_COLUMN.WITHOUT_SUGGESTION, and what the query and the write raise.
    """
    view = _named(context.session, given.view)
    assert view is not None, given.view
    source = view.read.data_source
    operation = pb.WriteOperation(source=source.options[OWN_FORMAT])
    operation.options.update({key: value for key, value in source.options.items() if key != OWN_FORMAT})
    operation.mode = pb.WriteOperation.SAVE_MODE_OVERWRITE if given.overwrite else pb.WriteOperation.SAVE_MODE_APPEND
    operation.input.CopyFrom(_rows(context.session, given, context.session.schema(view)))
    writes.write(context, operation)


def _named(session: EngineSession, name: str) -> pb.Relation | None:
    """The read that the view of that name is, if rows can be written there."""
    view = session.own_views.get(name.lower())
    while view is not None and view.WhichOneof("rel_type") == "subquery_alias":
        view = view.subquery_alias.input
    if view is None or view.WhichOneof("rel_type") != "read" or view.read.data_source.format != OWN_READ:
        return None
    return view if view.read.data_source.options.get(OWN_FORMAT) in INSERTABLE else None


def _rows(session: EngineSession, insert: ViewInsert, table: pa.Schema) -> pb.Relation:
    """The rows with exactly the columns of the table."""
    given = session.schema(insert.rows)
    names = list(given.names) if insert.by_name else list(insert.columns or table.names)
    if len(names) != len(given):
        raise _arity(names, given)
    known = {name.lower(): name for name in table.names}
    for name in names:
        if name.lower() not in known:
            raise AnalysisError.of(
                "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
                f"A column, variable, or function parameter with name `{name}` cannot be resolved.",
                sql_state="42703",
                objectName=f"`{name}`",
            )
    named = by_name(insert.rows, [known[name.lower()] for name in names])
    data = pa.schema([field.with_name(known[name.lower()]) for name, field in zip(names, given, strict=True)])
    cast = to_delta(named, data, table, lambda: policy(session.get_conf))
    columns = [
        build.alias(
            build.col(field.name) if field.name in data.names else build.cast(build.null(), field.type), field.name
        )
        for field in table
    ]
    return build.project(cast.relation, columns)


def _arity(names: list[str], given: pa.Schema) -> AnalysisError:
    few = len(given) < len(names)
    reason = "not enough data columns" if few else "too many data columns"
    wanted, found = (", ".join(f"`{name}`" for name in listed) for listed in (names, given.names))
    return AnalysisError.of(
        f"INSERT_COLUMN_ARITY_MISMATCH.{'NOT_ENOUGH' if few else 'TOO_MANY'}_DATA_COLUMNS",
        f"Cannot write to `unknown`, the reason is {reason}:\nTable columns: {wanted}.\nData columns: {found}.",
        sql_state="21S01",
        tableName="`unknown`",
        tableColumns=wanted,
        dataColumns=found,
    )
