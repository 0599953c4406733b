"""SqlCommand: a query is given back as a relation; statements about names are the catalog's; the rest the engine's."""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.catalog.sql import SqlContext, parse, run
from riacho.pipelines.context import is_query_function
from riacho.plan.dialect import text_in_engine_words
from riacho.plan.facts import is_streaming
from riacho.plan.sql import ViewDefinition, may_stream, read_sql
from riacho.protos import pb
from riacho.server.handlers import batch
from riacho.server.handlers.catalog import use_database
from riacho.server.operations import Responses
from riacho.server.relations import resolve
from riacho.server.services import Services
from riacho.server.session import ServerSession


def command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Run one SQL statement. Raises ParseError and whatever the statement raises."""
    text, relation = _input(request.plan.command.sql_command)
    if is_query_function(request.user_context.extensions):
        yield _lazily(relation)
        return
    facts = read_sql(text)
    if facts.kind == "query":
        if may_stream(text, session.streaming_views):
            yield _lazily(relation)
        else:
            yield from _forward(session, request)
        return
    if facts.view is not None:
        yield from _create_view(session, request, facts.view, relation)
        return
    statement = parse(text)
    if statement is not None:
        context = SqlContext(
            services.catalog, session.engine, session.current_database, tuple(session.views), services.clock
        )
        rows = run(statement, context)
        if context.current_database != session.current_database:
            use_database(session, context.current_database)
        if rows is not None:
            yield _rows(rows)
            return
    yield from _forward(session, request)


def _forward(session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Let the engine answer the text, in its own words."""
    sql = request.plan.command.sql_command
    if sql.HasField("input"):
        inner = sql.input.with_relations.root if sql.input.HasField("with_relations") else sql.input
        inner.sql.query = text_in_engine_words(inner.sql.query)
    else:
        sql.sql = text_in_engine_words(sql.sql)
    yield from batch.forward(session, request)


def _create_view(
    session: ServerSession, request: pb.ExecutePlanRequest, view: ViewDefinition, relation: pb.Relation
) -> Responses:
    """CREATE TEMPORARY VIEW: the engine's if it is a batch view, riacho's own if it streams."""
    name = view.parts[-1]
    query = pb.Relation()
    query.CopyFrom(relation)
    inner = query.with_relations.root if query.HasField("with_relations") else query
    inner.sql.query = view.query
    resolved = resolve(session, query)
    if is_streaming(resolved):
        session.add_view(name, _named(resolved, view.columns))
        yield _rows(pa.table({}))
        return
    yield from _forward(session, request)
    session.add_view(name, _named(query, view.columns))
    session.engine.remember(("view", name), "ExecutePlan", batch.engine_request(request))


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
    inner = relation.with_relations.root if relation.HasField("with_relations") else relation
    return inner.sql.query, relation


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
