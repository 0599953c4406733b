"""Batch writes into Python data sources (`df.write.format(name).mode("append").save()`)."""

from __future__ import annotations

from typing import Final

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.workers.sources import registered
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.source import MadeWriter, ModeRefused, UserSource
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed
from riacho.server.workers.sources.writing import Message, Tasks, WriterTasks

_MODES: Final = {
    pb.WriteOperation.SAVE_MODE_APPEND: "append",
    pb.WriteOperation.SAVE_MODE_OVERWRITE: "overwrite",
    pb.WriteOperation.SAVE_MODE_IGNORE: "ignore",
}
_DEFAULT_MODE: Final = "error"
_SHOWN: Final = {"error": "ErrorIfExists", "ignore": "Ignore"}
"""The modes that not every data source has, as Spark calls them."""


def write(session: EngineSession, operation: pb.WriteOperation, found: UserClass) -> None:
    """Write the rows of a plan with the user's `DataSourceWriter`.

    A class with a method `writerForMode` has all save modes; others have those that Spark has for them. Raises
    UNSUPPORTED_DATA_SOURCE_SAVE_MODE, PYTHON_DATA_SOURCE_ERROR for a writer that cannot be made or cannot commit,
    PYTHON_EXCEPTION for one that fails. Then what was written is aborted.
    """
    tasks, relation = Tasks.of(operation.input)
    schema = session.schema(relation)
    source = registered.source_of(operation.source, found, _options(operation), session, schema)
    planner = SourceWorker()
    writers = WriterTasks(schema, session.zone)
    try:
        writer = _writer(source, planner, operation)
        if writer is None:
            return
        made = writer.data

        def finish(messages: list[Message], *, abort: bool) -> None:
            told = [message for message in messages if message is not None]
            given = [message is not None for message in messages]
            try:
                planner.call("finish_write", [made, *told], given=given, abort=abort)
            except UserCodeFailed as failure:
                raise refused("commit or abort", "write", failure) from None

        writers.write(made, session.stream(relation), tasks.no_more_than(writer.most_tasks), finish)
    finally:
        writers.close()
        planner.stop()


def _writer(source: UserSource, planner: SourceWorker, operation: pb.WriteOperation) -> MadeWriter | None:
    mode = _MODES.get(operation.mode, _DEFAULT_MODE)
    if mode not in _SHOWN:
        _check_partitions(operation)
    try:
        writer = source.writer(planner, mode)
    except ModeRefused:
        raise _no_mode(operation, mode) from None
    _check_partitions(operation)
    return writer


def _no_mode(operation: pb.WriteOperation, mode: str) -> AnalysisError:
    shown = f'"{_SHOWN[mode]}"'
    return AnalysisError.of(
        "UNSUPPORTED_DATA_SOURCE_SAVE_MODE",
        f'The data source "{operation.source}" cannot be written in the {shown} mode. Please use either the '
        '"Append" or "Overwrite" mode instead.',
        sql_state="0A000",
        source=operation.source,
        createMode=shown,
    )


def _check_partitions(operation: pb.WriteOperation) -> None:
    given = [f"identity({name})" for name in operation.partitioning_columns]
    if given:
        raise IllegalArgumentError(
            "requirement failed: The provided partitioning or clustering columns do not match the existing table's.\n"
            f"- provided: {', '.join(given)}\n- table: "
        )


def _options(operation: pb.WriteOperation) -> dict[str, str]:
    options = dict(operation.options)
    if operation.WhichOneof("save_type") == "path":
        options["path"] = operation.path
    return options
