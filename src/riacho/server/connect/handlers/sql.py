"""SqlCommand: a query is given back as a relation; statements about names are the catalog's; the rest the engine's."""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.commands import SqlContext, run
from riacho.server.connect.handlers import batch, settings, view_inserts, views
from riacho.server.connect.operations import Responses
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.graph.context import is_query_function
from riacho.server.plan.arguments import with_arguments
from riacho.server.sql.errors import UnplacedSyntaxError, qualified_temporary, temporary_if_not_exists
from riacho.server.sql.heads import ViewDefinition, may_stream, read_sql
from riacho.server.sql.parse import parse
from riacho.server.sql.statements import CreateFileView, Drop, Insert


def command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Run one SQL statement. Raises ParseError and whatever the statement raises."""
    text, relation = _input(request.plan.command.sql_command)
    if is_query_function(request.user_context.extensions):
        yield _lazily(relation)
        return
    facts = read_sql(text)
    if facts.kind == "query":
        if not may_stream(text, session.own_views):
            for _ in _forward(session, request, relation):  # what is wrong with it shows now, as in Spark
                pass
        yield _lazily(relation)
        return
    if facts.view is not None:
        yield from _create_view(session, facts.view, relation)
        return
    told = settings.statement(session, text)
    if told is not None:
        yield _rows(_pairs(told))
        return
    statement = parse(with_arguments(text, _text_of(relation)))
    if statement is not None:
        if isinstance(statement, Drop) and views.drop(session, ".".join(statement.name)):
            yield _rows(pa.table({}))
            return
        if isinstance(statement, CreateFileView):
            views.define(
                session, _files(statement), statement.name, is_global=statement.is_global, replace=statement.replace
            )
            yield _rows(pa.table({}))
            return
        context = SqlContext(
            services.catalog, session.engine, session.temporary_views, services.clock, _inputs(relation)
        )
        insert = view_inserts.of_statement(statement, context) if isinstance(statement, Insert) else None
        if insert is not None:
            view_inserts.insert(services.writing(session), insert)
            yield _rows(pa.table({}))
            return
        rows = run(statement, context)
        if rows is not None:
            yield _rows(rows)
            return
    yield from _forward(session, request, relation)


def _pairs(told: settings.Settings) -> pa.Table:
    columns = {"key": [key for key, _ in told], "value": [value for _, value in told]}
    return pa.table(columns, pa.schema([pa.field("key", pa.string(), nullable=False), ("value", pa.string())]))


def _forward(session: ServerSession, request: pb.ExecutePlanRequest, relation: pb.Relation) -> Responses:
    """Let the engine answer the text."""
    forwarded = pb.ExecutePlanRequest()
    forwarded.CopyFrom(request)
    sql = forwarded.plan.command.sql_command
    sql.Clear()
    sql.input.CopyFrom(relation)
    try:
        yield from batch.forward(session, forwarded)
    except UnplacedSyntaxError as error:
        raise error.placed(_text_of(relation).query) from None


def _create_view(session: ServerSession, view: ViewDefinition, relation: pb.Relation) -> Responses:
    """CREATE TEMPORARY VIEW, as the DataFrame API makes one."""
    if view.if_not_exists:
        raise temporary_if_not_exists(_text_of(relation).query)
    if len(view.parts) > 1:
        raise qualified_temporary(quoted(view.parts[-1:]), quoted(view.parts[:-1]))
    query = pb.Relation()
    query.CopyFrom(relation)
    inner = query.with_relations.root if query.HasField("with_relations") else query
    inner.sql.query = view.query
    named = _named(query, view.columns)
    views.define(session, named, view.parts[-1], is_global=view.is_global, replace=view.replace, is_text=True)
    yield _rows(pa.table({}))


def _files(view: CreateFileView) -> pb.Relation:
    """The read that a view of files stands for."""
    relation = pb.Relation()
    source = relation.read.data_source
    source.format, source.schema = view.format, view.columns
    source.options.update(view.options)
    return relation


def _named(relation: pb.Relation, columns: tuple[str, ...]) -> pb.Relation:
    if not columns:
        return relation
    named = pb.Relation()
    named.to_df.input.CopyFrom(relation)
    named.to_df.column_names.extend(columns)
    return named


def _input(sql: pb.SqlCommand) -> tuple[str, pb.Relation]:
    """The text and the relation of a command; clients before Spark 4 send the text alone."""
    relation = pb.Relation()
    if sql.HasField("input"):
        relation.CopyFrom(sql.input)
    else:
        relation.sql.query = sql.sql
        relation.sql.pos_arguments.extend(sql.pos_arguments)
    return _text_of(relation).query, relation


def _text_of(relation: pb.Relation) -> pb.SQL:
    """The text of a command's relation, with its arguments."""
    inner = relation.with_relations.root if relation.HasField("with_relations") else relation
    return inner.sql


def _inputs(relation: pb.Relation) -> dict[str, pb.Relation]:
    """The DataFrames that a command's text names."""
    given = relation.with_relations.references
    return {reference.subquery_alias.alias: reference for reference in given if reference.HasField("subquery_alias")}


def _lazily(relation: pb.Relation) -> bytes:
    """The reply that leaves a query for later, when it is analysed, run or started."""
    response = pb.ExecutePlanResponse()
    response.sql_command_result.relation.CopyFrom(relation)
    return response.SerializeToString()


def _rows(rows: pa.Table) -> bytes:
    """The reply to a statement that has been run: its rows, inside the plan."""
    response = pb.ExecutePlanResponse()
    local = response.sql_command_result.relation.local_relation
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    local.data = sink.getvalue().to_pybytes()
    local.schema = types.to_json(rows.schema)
    return response.SerializeToString()
