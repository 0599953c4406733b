"""From a start command to a checked `QueryDefinition`: plan, checks, sink, checkpoint. Nothing has started after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa

from riacho.config import CHECKPOINT_LOCATION, CONFS
from riacho.engine.base import EngineSession
from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.ids import new_uuid
from riacho.plan.facts import kind
from riacho.protos import pb
from riacho.server.services import Services
from riacho.server.session import ServerSession
from riacho.streaming import trigger
from riacho.streaming.definition import QueryDefinition
from riacho.streaming.execution import Execution
from riacho.streaming.planning import PlannedStream, plan_stream
from riacho.streaming.sinks.base import OutputMode, Sink
from riacho.streaming.sinks.console import ConsoleSink
from riacho.streaming.sinks.delta import DeltaSink
from riacho.streaming.sinks.foreach_batch import ForeachBatchSink
from riacho.streaming.sinks.memory import MemorySink
from riacho.streaming.sinks.noop import NoopSink
from riacho.streaming.stateless import StatelessExecution

# Sinks whose checkpoint may be a temporary folder, as Spark's writer has it.
TEMPORARY_CHECKPOINTS = frozenset({"memory", "console", "noop", "foreachBatch"})
DEFAULT_FORMAT = "delta"
TIME_ZONE = "spark.sql.session.timeZone"


def define(
    services: Services,
    session: ServerSession,
    relation: pb.Relation,
    command: pb.WriteStreamOperationStart,
    *,
    tags: Sequence[str] = (),
    operation_id: str = "",
) -> QueryDefinition:
    """Check a start command and put its parts together. `relation` is its input, resolved.

    Raises SparkError for all that is wrong with the plan, the mode, the options or the checkpoint.
    """
    options = {key.lower(): value for key, value in command.options.items()}
    mode = _output_mode(command.output_mode)
    name = command.query_name or None
    planned = plan_stream(relation, session.views, services.make_source(session))
    empty = planned.empty()
    schema = session.engine.schema(empty)
    clone = services.engine.clone(session.engine)
    sink = _sink(services, session, command, options, schema, mode)
    checkpoint, temporary = _checkpoint(session.engine, sink.name, name, options)
    return QueryDefinition(
        owner=session.session_id,
        name=name,
        sources=planned.sources,
        schema=schema,
        sink=sink,
        output_mode=mode,
        trigger=trigger.from_command(command),
        checkpoint=checkpoint,
        temporary=temporary,
        session=clone,
        prepare=_prepare(services, planned, mode, clone),
        conf=_confs(session.engine),
        tags=tags,
        operation_id=operation_id,
        plan_text=session.engine.explain(empty),
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


def _prepare(
    services: Services, planned: PlannedStream, mode: OutputMode, session: EngineSession
) -> Callable[[Path], Execution]:
    def prepare(_: Path) -> Execution:
        if kind(planned.resolved) == "stateless" and not planned.context.watermarks:
            return StatelessExecution(planned.template, session.get_conf(TIME_ZONE) or "UTC")
        raise UnsupportedOperationError(
            "riacho does not run stateful streaming queries (aggregations, deduplication, joins of streams, watermarks) "
            "yet. Collect the rows in a Delta table and query that, or use a materialized view."
        )

    return prepare


# -- sinks


def _sink(
    services: Services,
    session: ServerSession,
    command: pb.WriteStreamOperationStart,
    options: Mapping[str, str],
    schema: pa.Schema,
    mode: OutputMode,
) -> Sink:
    if command.HasField("foreach_batch"):
        _refuse_partitioning(command, "foreachBatch")
        return ForeachBatchSink(
            command.foreach_batch.python_function.command,
            session.session_id,
            f"{services.connect_url}/;user_id={session.user_id}",
            session.relations,
        )
    if command.HasField("foreach_writer"):
        raise UnsupportedOperationError(
            "riacho does not run foreach writers yet. Use foreachBatch: it gets each batch as a DataFrame."
        )
    if command.table_name:
        return services.table_sink(session, command, options, schema)
    match (command.format or DEFAULT_FORMAT).lower():
        case "memory":
            _refuse_partitioning(command, "memory")
            if not command.query_name:
                raise AnalysisError("queryName must be specified for memory sink")
            return MemorySink(command.query_name, session.engine, services.engine)
        case "console":
            return ConsoleSink(options)
        case "noop":
            return NoopSink()
        case "delta":
            path = command.path or options.get("path", "")
            if not path:
                raise IllegalArgumentError("'path' is not specified: give start() a path, or use toTable()")
            return DeltaSink(local_path(path), tuple(command.partitioning_column_names), options)
        case other:
            raise AnalysisError.of(
                "DATA_SOURCE_NOT_FOUND",
                f"Failed to find the data source: {other}. riacho writes streams to delta, memory, console, noop, "
                "foreachBatch and tables.",
                sql_state="42K02",
                provider=other,
            )


def _refuse_partitioning(command: pb.WriteStreamOperationStart, sink: str) -> None:
    if command.partitioning_column_names:
        raise AnalysisError(f"'{sink}' does not support partitioning")


# -- checkpoint and confs


def _checkpoint(session: EngineSession, sink: str, name: str | None, options: Mapping[str, str]) -> tuple[Path, bool]:
    """The folder, and whether it is temporary (Spark: `ResolveWriteToStream.resolveCheckpointLocation`)."""
    given = options.get("checkpointlocation")
    if given is not None:
        return local_path(given), False
    root = session.get_conf(CHECKPOINT_LOCATION)
    if root:
        return local_path(root) / (name or new_uuid()), False
    if sink in TEMPORARY_CHECKPOINTS:
        return Path(tempfile.mkdtemp(prefix="riacho-checkpoint-")), True
    raise AnalysisError(
        'checkpointLocation must be specified either through option("checkpointLocation", ...) or '
        f'SparkSession.conf.set("{CHECKPOINT_LOCATION}", ...)'
    )


def _confs(session: EngineSession) -> dict[str, str]:
    """The streaming confs of the session as they are now; a checkpoint keeps them."""
    return {
        conf.key: session.get_conf(conf.key, conf.default) or conf.default
        for conf in CONFS
        if conf.key.startswith("spark.sql.streaming.") or conf.key == "spark.sql.shuffle.partitions"
    }


def local_path(text: str) -> Path:
    """The path that a plain path or a `file:` URI names. Raises IllegalArgumentError for other schemes."""
    uri = urlparse(text)
    if uri.scheme in {"", "file"}:
        return Path(unquote(uri.path) if uri.scheme else text).absolute()
    raise IllegalArgumentError(f"riacho reads and writes local paths; {text!r} has the scheme {uri.scheme!r}.")
