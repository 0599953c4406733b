"""Relations that only this server understands, turned into ones that the engine does."""

from __future__ import annotations

from google.protobuf.message import Message

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.catalog.zoned_reads import in_zone_of
from riacho.server.connect.session import ServerSession
from riacho.server.plan.context import Context
from riacho.server.plan.facts import cached_ids, is_streaming
from riacho.server.plan.rewrite import RESOLVE, rewrite
from riacho.server.plan.rules.strip_watermark import strip_watermark
from riacho.server.plan.walk import children, transform, walk
from riacho.server.sql.heads import may_stream


def resolve(session: ServerSession, relation: pb.Relation, *, rows: bool = True) -> pb.Relation:
    """`relation` without DataFrames kept by id, streaming views and streaming SQL; the same object if it has none.

    A batch plan's watermarks are dropped, as Spark drops them; a streaming plan keeps its own, and is prepared for the
    engine here, once: its pieces are run by themselves. `rows`: False for a plan that is only analysed. Raises
    UnsupportedOperationError for a function that the engine has wrong.
    """
    if cached_ids(relation):
        relation = transform(relation, lambda node: _known(session, node))
    if session.reads_own_view(relation) or _has_streaming_sql(session, relation):
        context = Context(views=session.views)
        relation = rewrite(relation, context, RESOLVE)
    if is_streaming(relation):
        return session.engine.prepared(relation, rows=rows)
    return rewrite(relation, Context(), (strip_watermark,)) if _has_watermark(relation) else relation


def resolve_inside(session: ServerSession, command: Message) -> None:
    """Resolve, in place, each relation of a command that runs as a batch.

    Raises AnalysisError for a streaming one: only `writeStream` runs those.
    """
    for relation in list(children(command)):
        resolved = resolve(session, relation)
        if is_streaming(resolved):
            raise AnalysisError.of(
                "CALL_ON_STREAMING_DATASET_UNSUPPORTED",
                "The method `write` can not be called on streaming Dataset/DataFrame.",
                sql_state="42KDE",
                methodName="`write`",
            )
        if resolved is not relation:
            relation.CopyFrom(resolved)


def _known(session: ServerSession, node: pb.Relation) -> pb.Relation:
    if node.WhichOneof("rel_type") != "cached_remote_relation":
        return node
    relation_id = node.cached_remote_relation.relation_id
    if relation_id not in session.relations:
        raise AnalysisError(
            f"[CONNECT_INVALID_PLAN.DATAFRAME_NOT_FOUND] The Spark Connect plan is invalid. No DataFrame with id "
            f"{relation_id} is found in the session {session.session_id}. SQLSTATE: 56K00",
            condition="CONNECT_INVALID_PLAN.DATAFRAME_NOT_FOUND",
            sql_state="56K00",
            parameters={"dfId": relation_id, "sessionId": session.session_id},
        )
    known = pb.Relation()
    known.CopyFrom(session.relations[relation_id])
    if session.engine.zone_changed:
        # Its query may have started in another zone.
        known = in_zone_of(session.engine, known) or known
    # Columns that were taken from the client's DataFrame are found by its plan_id.
    known.common.CopyFrom(node.common)
    return known


def _has_streaming_sql(session: ServerSession, relation: pb.Relation) -> bool:
    """Whether a plan has text that reads what the engine does not know, or asks for a table's changes."""
    views = session.own_views
    for node in walk(relation):
        kind = node.WhichOneof("rel_type")
        if kind == "relation_changes" or (kind == "sql" and may_stream(node.sql.query, views)):
            return True
    return False


def _has_watermark(relation: pb.Relation) -> bool:
    return any(node.WhichOneof("rel_type") == "with_watermark" for node in walk(relation))
