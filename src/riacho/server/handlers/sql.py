"""SqlCommand: a query is given back as a relation; statements about names are the catalog's; the rest the engine's."""

from __future__ import annotations

from riacho.pipelines.context import is_query_function
from riacho.plan.sql import may_stream, read_sql
from riacho.protos import pb
from riacho.server.handlers import batch
from riacho.server.operations import Responses
from riacho.server.services import Services
from riacho.server.session import ServerSession


def command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Run one SQL statement. Raises ParseError and whatever the statement raises."""
    sql = request.plan.command.sql_command
    text, relation = _input(sql)
    lazily = is_query_function(request.user_context.extensions)
    if lazily or (may_stream(text, session.streaming_views) and read_sql(text).kind == "query"):
        response = pb.ExecutePlanResponse()
        response.sql_command_result.relation.CopyFrom(relation)
        yield response.SerializeToString()
        return
    yield from batch.forward(session, request)


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
