"""Starting a query: a list of steps, each of which goes down once, and all of which are undone if one fails.

    read      mode, plan, columns, sink, checkpoint: what can be refused by looking
    make      a clone of the session, a temporary checkpoint, the sink's process
    add       the query has its name and its checkpoint now, and can be found
    announce  what others see of it before its first batch: a table, a view

Then whoever started it lets it begin. A start that fails anywhere leaves nothing: no query, thread, session, process or
temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from riacho import storage
from riacho.conf import CHAIN_CHECK, CHECKPOINT_LOCATION, LATE_ROWS, OPERATION_CHECK
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.engine.asked import asking_once
from riacho.server.engine.base import EngineSession
from riacho.server.plan import build
from riacho.server.plan.checks import check_batch_time, check_observations, check_streaming, check_watermarks
from riacho.server.plan.context import Context, is_file_leaf
from riacho.server.plan.facts import is_streaming, kind
from riacho.server.plan.rewrite import RESOLVE, rewrite
from riacho.server.plan.row_shape import row_shape
from riacho.server.plan.walk import walk
from riacho.server.streaming import confs
from riacho.server.streaming.context import StreamingContext
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.execution import Execution
from riacho.server.streaming.operators import LateTarget
from riacho.server.streaming.operators import prepare as prepare_stateful
from riacho.server.streaming.operators.late import NOTE, NOTE_TYPE
from riacho.server.streaming.planning import PlannedStream, plan_stream
from riacho.server.streaming.quality import SOURCE
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.sifting import alike
from riacho.server.streaming.sinks.base import OutputMode, Sink
from riacho.server.streaming.sinks.checked import CheckedSink
from riacho.server.streaming.sinks.registry import check_delta, make_sink
from riacho.server.streaming.stateless import StatelessExecution
from riacho.storage import Place, delete_tree, place_of


def start(context: StreamingContext, request: StartRequest, listener: Listener | None = None) -> StreamingQuery:
    """A query that is accepted and can be found; it is to `begin`, or to be discarded.

    Raises SparkError for all that is wrong with the plan, the mode, the options, the name or the checkpoint.
    """
    with storage.using(context.session.storage):  # the query's thread takes them over
        return _start(context, request, listener)


def _start(context: StreamingContext, request: StartRequest, listener: Listener | None) -> StreamingQuery:
    with asking_once():
        checked = _read(context, request)
    with ExitStack() as undo:
        # The sink first: what it made in vain is ended even if it failed half way.
        undo.callback(checked.sink.close)
        checked.sink.prepare()
        session = context.engine.clone(context.session, prepares=False)
        undo.callback(context.engine.release, session.session_id, session.user_id)
        checkpoint = checked.checkpoint or Path(tempfile.mkdtemp(prefix="riacho-checkpoint-"))
        if checked.checkpoint is None:
            undo.callback(delete_tree, checkpoint)
        query = context.queries.add(_definition(context, request, checked, session, checkpoint), listener)
        undo.pop_all()  # a query that is discarded gives back by itself what it has
        undo.callback(context.queries.discard, query)
        checked.late.make()
        checked.sink.announce(checked.schema)
        undo.pop_all()
    return query


def run(context: StreamingContext, request: StartRequest, listener: Listener | None = None) -> StreamingQuery:
    """Start a query and let it begin. Raises what `start` raises."""
    query = start(context, request, listener)
    context.queries.begin(query)
    return query


@dataclass(frozen=True)
class _Late:
    """Where late rows go, if they do; `make` makes the table if it is missing."""

    target: LateTarget | None = None
    make: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class _CheckedStart:
    """A start of which nothing more can be refused by looking. `checkpoint`: None for a temporary one."""

    mode: OutputMode
    planned: PlannedStream
    schema: pa.Schema
    sink: Sink
    checkpoint: Place | None
    late: _Late
    confs: Mapping[str, str]
    plan_text: str


def _read(context: StreamingContext, request: StartRequest) -> _CheckedStart:
    """Everything that can be decided without making anything."""
    mode = _output_mode(request.output_mode)
    obeyed = confs.of_session(context.session)
    relation = _with_source(context, request)
    planned = plan_stream(relation, context.views, context.make_source, context.session)
    _check(context, planned, mode, obeyed)
    analysed = planned.empty()
    whole = context.session.schema(analysed)
    schema = pa.schema([column for column in whole if column.name != SOURCE])
    sink = make_sink(context, request)
    if request.checks is not None:
        bits_first = alike(planned.resolved, request.checks.expectations, context.session)
        has_source = len(schema) < len(whole)
        sink = CheckedSink(sink, request.checks, schema, context.clock, bits_first, has_source)
    checkpoint = _checkpoint(context.session, sink, request)
    sink.check(mode, checkpoint or _NO_CHECKPOINT)
    late = _Late() if _is_stateless(planned) else _late(context, request)
    plan_text = context.session.explain(analysed)
    context.queries.check_name(context.owner, request.name)
    return _CheckedStart(mode, planned, schema, sink, checkpoint, late, obeyed, plan_text)


def _with_source(context: StreamingContext, request: StartRequest) -> pb.Relation:
    """The plan, with a column that tells the file of each row if a quarantine wants it and a row is of one file."""
    relation = request.relation
    if request.checks is None or request.checks.quarantine is None:
        return relation
    resolved = rewrite(relation, Context(views=context.views), RESOLVE)
    if kind(resolved) != "stateless" or not any(map(is_file_leaf, walk(resolved))):
        return relation
    file = build.alias(build.call("input_file_name"), SOURCE).alias
    return pb.Relation(with_columns=pb.WithColumns(input=relation, aliases=[file]))


def _definition(
    context: StreamingContext, request: StartRequest, checked: _CheckedStart, session: EngineSession, checkpoint: Place
) -> QueryDefinition:
    planned = checked.planned
    late = checked.late.target
    return QueryDefinition(
        owner=context.owner,
        name=request.name,
        sources=planned.pruned_sources() if late is None else planned.sources,  # late rows are kept whole
        places=planned.template.places,
        schema=checked.schema,
        sink=checked.sink,
        output_mode=checked.mode,
        trigger=request.trigger,
        checkpoint=checkpoint,
        temporary=checked.checkpoint is None,
        session=session,
        prepare=partial(_execution, context, planned, checked.mode, late, session),
        conf=checked.confs,
        tags=request.tags,
        operation_id=request.operation_id,
        plan_text=checked.plan_text,
        shape=row_shape(planned.resolved),
    )


_NO_CHECKPOINT = Path("/nonexistent")
"""A temporary checkpoint before it is made: it holds nothing."""


def _output_mode(text: str) -> OutputMode:
    try:
        return OutputMode(text.lower() or "append")
    except ValueError:
        raise IllegalArgumentError.of(
            "STREAMING_OUTPUT_MODE.INVALID",
            f"Invalid streaming output mode: {text}. Accepted output modes are 'Append', 'Complete', 'Update'.",
            sql_state="42KDE",
            outputMode=text,
        ) from None


def _check(context: StreamingContext, planned: PlannedStream, mode: OutputMode, obeyed: Mapping[str, str]) -> None:
    """Refuse what Spark refuses to run as a stream, unless the session's confs say not to look."""

    def schema_of(relation: pb.Relation) -> pa.Schema:
        streams = is_streaming(relation)
        batch = plan_stream(relation, context.views, context.make_source).empty() if streams else relation
        return context.session.schema(batch)

    def columns(relation: pb.Relation) -> list[str]:
        return list(schema_of(relation).names)

    check_watermarks(planned.resolved, schema_of)
    check_batch_time(planned.resolved)
    check_observations(planned.context.observations)
    if OPERATION_CHECK.of(obeyed):
        check_streaming(planned.resolved, mode, columns, check_chains=CHAIN_CHECK.of(obeyed))


def _is_stateless(planned: PlannedStream) -> bool:
    return kind(planned.resolved) == "stateless" and not planned.context.watermarks


def _execution(
    context: StreamingContext,
    planned: PlannedStream,
    mode: OutputMode,
    late: LateTarget | None,
    session: EngineSession,
    checkpoint: Place,
) -> Execution:
    zone = session.zone.engine
    with asking_once():
        if _is_stateless(planned):
            return StatelessExecution(planned, session, zone)
        return prepare_stateful(planned, mode, session, context.engine, checkpoint, zone, late)


def _late(context: StreamingContext, request: StartRequest) -> _Late:
    """Where the session wants late rows: a table by name, made if it is missing, or by its path."""
    given = context.session.get_conf(LATE_ROWS.key)
    if not given:
        return _Late()
    if "/" in given:
        return _Late(LateTarget(storage.place_of(given), request.name, context.clock))
    name = context.catalog.qualify(given, context.database)
    table = context.catalog.table(name)
    if table is not None:
        check_delta(table)
        return _Late(LateTarget(table.location, request.name, context.clock))
    columns = pa.schema([pa.field(NOTE, NOTE_TYPE)])
    target = LateTarget(context.catalog.location_for(name), request.name, context.clock)
    return _Late(target, partial(context.catalog.create_table, name, columns, if_not_exists=True))


def _checkpoint(session: EngineSession, sink: Sink, request: StartRequest) -> Place | None:
    """The folder; None for a temporary one (Spark: `ResolveWriteToStream.resolveCheckpointLocation`)."""
    given = request.options.get("checkpointlocation")
    if given is not None:
        return place_of(given)
    root = session.get_conf(CHECKPOINT_LOCATION.key)
    if root:
        return place_of(root) / (request.name or new_uuid())
    if sink.temporary_checkpoint:
        return None
    raise AnalysisError(
        'checkpointLocation must be specified either through option("checkpointLocation", ...) or '
        f'SparkSession.conf.set("{CHECKPOINT_LOCATION.key}", ...).',
        condition="_LEGACY_ERROR_TEMP_1298",
        parameters={"config": CHECKPOINT_LOCATION.key},
    )
