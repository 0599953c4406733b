"""From a start command to a checked `QueryDefinition`: plan, checks, sink, checkpoint. Nothing has started after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from riacho.conf import CHECKPOINT_LOCATION, CONFS
from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.ids import new_uuid
from riacho.paths import local_path
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.engine.base import EngineSession
from riacho.server.plan.checks import check_batch_time, check_streaming, check_watermarks
from riacho.server.plan.facts import is_streaming, kind
from riacho.server.streaming import trigger
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.execution import Execution
from riacho.server.streaming.operators import LateTarget
from riacho.server.streaming.operators import prepare as prepare_stateful
from riacho.server.streaming.operators.late import NOTE, NOTE_TYPE
from riacho.server.streaming.planning import MakeSource, PlannedStream, plan_stream
from riacho.server.streaming.sinks.base import OutputMode, Sink
from riacho.server.streaming.sinks.console import ConsoleSink
from riacho.server.streaming.sinks.delta import DeltaSink, check_mode
from riacho.server.streaming.sinks.foreach_batch import ForeachBatchSink
from riacho.server.streaming.sinks.memory import MemorySink
from riacho.server.streaming.sinks.noop import NoopSink
from riacho.server.streaming.stateless import StatelessExecution
from riacho.server.streaming.trigger import Trigger
from riacho.types import nullable

# Sinks whose checkpoint may be a temporary folder, as Spark's writer has it.
TEMPORARY_CHECKPOINTS = frozenset({"memory", "console", "noop", "foreachBatch"})
DEFAULT_FORMAT = "delta"
LATE_ROWS = "riacho.watermark.lateRows"
OPERATION_CHECK = "spark.sql.streaming.unsupportedOperationCheck"
CHAIN_CHECK = "spark.sql.streaming.statefulOperator.checkCorrectness.enabled"


@dataclass(frozen=True)
class StartRequest:
    """What a start asks for, whoever asks: a client's command, or a pipeline's flow. `options`: names in lower case.

    `format` "" is the default; `table` and `path` are one or neither; `foreach_batch` is a pickled function.
    """

    relation: pb.Relation
    trigger: Trigger
    output_mode: str = "append"
    name: str | None = None
    format: str = ""
    table: str = ""
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    foreach_batch: bytes | None = None
    tags: tuple[str, ...] = ()
    operation_id: str = ""


def read_command(request: pb.ExecutePlanRequest, relation: pb.Relation) -> StartRequest:
    """The request of a WriteStreamOperationStart command; `relation` is its input, resolved.

    Raises UnsupportedOperationError for foreach writers and for triggers that riacho does not have.
    """
    command = request.plan.command.write_stream_operation_start
    if command.HasField("foreach_writer"):
        raise UnsupportedOperationError(
            "riacho does not run foreach writers yet. Use foreachBatch: it gets each batch as a DataFrame."
        )
    function = command.foreach_batch.python_function.command if command.HasField("foreach_batch") else None
    return StartRequest(
        relation=relation,
        trigger=trigger.from_command(command),
        output_mode=command.output_mode,
        name=command.query_name or None,
        format=command.format,
        table=command.table_name,
        path=command.path,
        options={key.lower(): value for key, value in command.options.items()},
        partition_by=tuple(command.partitioning_column_names),
        foreach_batch=function,
        tags=tuple(request.tags),
        operation_id=request.operation_id,
    )


def define(services: Services, session: ServerSession, request: StartRequest) -> QueryDefinition:
    """Check a start and put its parts together. Whoever gets the definition releases its session.

    Raises SparkError for all that is wrong with the plan, the mode, the options or the checkpoint.
    """
    mode = _output_mode(request.output_mode)
    confs = _confs(session.engine)
    make_source = services.make_source(session)
    planned = plan_stream(request.relation, session.views, make_source, session.engine)
    _check(session, planned, mode, make_source, confs)
    analysed = planned.empty()
    schema = session.engine.schema(analysed)
    sink = _sink(services, session, request, schema)
    checkpoint, temporary = _checkpoint(session.engine, sink.name, request)
    _check_sink(sink, mode, checkpoint)
    late_target = None if _is_stateless(planned) else _late_target(services, session, request)
    prepare = _prepare(services, planned, mode, late_target)
    plan_text = session.engine.explain(analysed)
    # Last, when nothing can be refused any more.
    clone = services.engine.clone(session.engine, prepares=False)
    return QueryDefinition(
        owner=session.session_id,
        name=request.name,
        sources=planned.pruned_sources() if late_target is None else planned.sources,  # late rows are kept whole
        places=planned.template.places,
        schema=schema,
        sink=sink,
        output_mode=mode,
        trigger=request.trigger,
        checkpoint=checkpoint,
        temporary=temporary,
        session=clone,
        prepare=partial(prepare, clone),
        conf=confs,
        tags=request.tags,
        operation_id=request.operation_id,
        plan_text=plan_text,
    )


def _output_mode(text: str) -> OutputMode:
    try:
        return OutputMode(text.lower() or "append")
    except ValueError:
        raise IllegalArgumentError.of(
            "STREAMING_OUTPUT_MODE.INVALID",
            f"Invalid streaming output mode: {text}. Accepted output modes are 'Append', 'Complete', 'Update'",
            sql_state="42KDE",
            outputMode=text,
        ) from None


def _check(
    session: ServerSession,
    planned: PlannedStream,
    mode: OutputMode,
    make_source: MakeSource,
    confs: Mapping[str, str],
) -> None:
    """Refuse what Spark refuses to run as a stream, unless the session's confs say not to look."""

    def schema_of(relation: pb.Relation) -> pa.Schema:
        batch = plan_stream(relation, session.views, make_source).empty() if is_streaming(relation) else relation
        return session.engine.schema(batch)

    def columns(relation: pb.Relation) -> list[str]:
        return list(schema_of(relation).names)

    def wanted(key: str) -> bool:
        return confs[key].lower() == "true"

    check_watermarks(planned.resolved, schema_of)
    check_batch_time(planned.resolved)
    if wanted(OPERATION_CHECK):
        check_streaming(planned.resolved, mode, columns, check_chains=wanted(CHAIN_CHECK))


def _is_stateless(planned: PlannedStream) -> bool:
    return kind(planned.resolved) == "stateless" and not planned.context.watermarks


def _prepare(
    services: Services, planned: PlannedStream, mode: OutputMode, late_target: LateTarget | None
) -> Callable[[EngineSession, Path], Execution]:
    def prepare(clone: EngineSession, checkpoint: Path) -> Execution:
        zone = clone.zone.engine
        if _is_stateless(planned):
            return StatelessExecution(planned, clone, zone)
        return prepare_stateful(planned, mode, clone, services.engine, checkpoint, zone, late_target)

    return prepare


def _sink(services: Services, session: ServerSession, request: StartRequest, schema: pa.Schema) -> Sink:
    if request.foreach_batch is not None:
        _refuse_partitioning(request, "foreachBatch")
        url = f"{services.connect_url}/;user_id={session.user_id}"
        return ForeachBatchSink(request.foreach_batch, session.session_id, url, session.relations)
    if request.table:
        return _table_sink(services, session, request, schema)
    match (request.format or DEFAULT_FORMAT).lower():
        case "memory":
            _refuse_partitioning(request, "memory")
            if request.name is None:
                raise AnalysisError("queryName must be specified for memory sink")
            return MemorySink(request.name, session.engine, services.engine)
        case "console":
            return ConsoleSink(request.options)
        case "noop":
            return NoopSink()
        case "delta":
            path = request.path or request.options.get("path", "")
            if not path:
                raise IllegalArgumentError("'path' is not specified: give start() a path, or use toTable()")
            return DeltaSink(
                local_path(path), request.partition_by, request.options, services.clock, services.housekeeper
            )
        case _:
            raise AnalysisError.of(
                "DATA_SOURCE_NOT_FOUND",
                f"Failed to find the data source: {request.format}. riacho writes streams to delta, memory, console, "
                "noop, foreachBatch and tables.",
                sql_state="42K02",
                provider=request.format,
            )


def _table_sink(services: Services, session: ServerSession, request: StartRequest, schema: pa.Schema) -> Sink:
    """Append to a table of the catalog, which is made if it is missing (Spark: `DataStreamWriter.toTable`)."""
    catalog = services.catalog
    name = catalog.qualify(request.table, session.current_database)
    table = catalog.table(name)
    if table is None:
        given = request.options.get("path") or request.path
        table = catalog.create_table(
            name,
            nullable(schema),
            format=request.format or DEFAULT_FORMAT,
            partition_by=request.partition_by,
            location=local_path(given) if given else None,
        )
    if request.format and request.format.lower() != table.format:
        raise AnalysisError(
            f"The input source({request.format.lower()}) is different from the table {name}'s data source provider("
            f"{table.format})."
        )
    _check_delta(table)
    return DeltaSink(table.location, request.partition_by, request.options, services.clock, services.housekeeper)


def _check_delta(table: Table) -> None:
    if table.format != "delta":
        raise UnsupportedOperationError(
            f"riacho writes streams to Delta tables; {table.name} is a {table.format} table. Create it USING delta."
        )


def _late_target(services: Services, session: ServerSession, request: StartRequest) -> LateTarget | None:
    """Where the session wants late rows: a table by name, made if it is missing, or by its path."""
    given = session.engine.get_conf(LATE_ROWS)
    if not given:
        return None
    if "/" in given:
        return LateTarget(local_path(given), request.name, services.clock)
    name = services.catalog.qualify(given, session.current_database)
    table = services.catalog.table(name)
    if table is None:
        table = services.catalog.create_table(name, pa.schema([pa.field(NOTE, NOTE_TYPE)]), format="delta")
    _check_delta(table)
    return LateTarget(table.location, request.name, services.clock)


def _check_sink(sink: Sink, mode: OutputMode, checkpoint: Path) -> None:
    """Refuse at the start what the sink would refuse when it opens, as Spark does."""
    match sink:
        case DeltaSink():
            check_mode(mode)
        case MemorySink() if mode is not OutputMode.COMPLETE and any((checkpoint / "offsets").glob("[0-9]*")):
            # What the memory sink held is gone after a restart, so only the complete mode may go on.
            raise AnalysisError(
                "This query does not support recovering from checkpoint location. "
                f"Delete {checkpoint / 'offsets'} to start over."
            )


def _refuse_partitioning(request: StartRequest, sink: str) -> None:
    if request.partition_by:
        raise AnalysisError(f"'{sink}' does not support partitioning")


def _checkpoint(session: EngineSession, sink: str, request: StartRequest) -> tuple[Path, bool]:
    """The folder, and whether it is temporary (Spark: `ResolveWriteToStream.resolveCheckpointLocation`)."""
    given = request.options.get("checkpointlocation")
    if given is not None:
        return local_path(given), False
    root = session.get_conf(CHECKPOINT_LOCATION)
    if root:
        return local_path(root) / (request.name or new_uuid()), False
    if sink in TEMPORARY_CHECKPOINTS:
        return Path(tempfile.mkdtemp(prefix="riacho-checkpoint-")), True
    raise AnalysisError(
        'checkpointLocation must be specified either through option("checkpointLocation", ...) or '
        f'SparkSession.conf.set("{CHECKPOINT_LOCATION}", ...)'
    )


_STREAMING_CONFS = {
    conf.key: conf.default
    for conf in CONFS
    if conf.key.startswith("spark.sql.streaming.") or conf.key == "spark.sql.shuffle.partitions"
}
# What Spark pins besides and has no meaning here: with them, Spark takes a stateless checkpoint for one of its own.
_PINNED_FOR_SPARK = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
    ),
    "spark.sql.streaming.aggregation.stateFormatVersion": "2",
    "spark.sql.streaming.join.stateFormatVersion": "2",
    "spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion": "2",
    "spark.sql.streaming.stateStore.compression.codec": "lz4",
}


def _confs(session: EngineSession) -> dict[str, str]:
    """The streaming confs of the session as they are now; a checkpoint keeps them."""
    told = session.get_confs(_STREAMING_CONFS)
    return _PINNED_FOR_SPARK | {key: told[key] or default for key, default in _STREAMING_CONFS.items()}
