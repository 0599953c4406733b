"""Batch writes into Python data sources (`df.write.format(name).mode("append").save()`)."""

from __future__ import annotations

from typing import Final

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.workers.sources import registered
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed
from riacho.server.workers.sources.writing import Message, Tasks, WriterTasks

_MODES: Final = {pb.WriteOperation.SAVE_MODE_APPEND: False, pb.WriteOperation.SAVE_MODE_OVERWRITE: True}
"""The save modes that there are, and whether they overwrite."""


def write(session: EngineSession, operation: pb.WriteOperation, found: UserClass) -> None:
    """Write the rows of a plan with the user's `DataSourceWriter`.

    Raises UNSUPPORTED_DATA_SOURCE_SAVE_MODE, PYTHON_DATA_SOURCE_ERROR for a writer that cannot be made or cannot
    commit, PYTHON_EXCEPTION for one that fails. Then what was written is aborted.
    """
    _check(operation)
    tasks, relation = Tasks.of(operation.input)
    schema = session.schema(relation)
    source = registered.source_of(operation.source, found, _options(operation), session, schema)
    planner = SourceWorker()
    writers = WriterTasks(schema, session.zone)
    try:
        writer = source.writer(planner, overwrite=_MODES[operation.mode], streaming=False)

        def finish(messages: list[Message], *, abort: bool) -> None:
            told = [message for message in messages if message is not None]
            given = [message is not None for message in messages]
            try:
                planner.call("finish_write", [writer, *told], given=given, abort=abort)
            except UserCodeFailed as failure:
                raise refused("commit or abort", "write", failure) from None

        writers.write(writer, session.stream(relation), tasks, finish)
    finally:
        writers.close()
        planner.stop()


def _check(operation: pb.WriteOperation) -> None:
    if operation.mode not in _MODES:
        ignore = operation.mode == pb.WriteOperation.SAVE_MODE_IGNORE
        mode = '"Ignore"' if ignore else '"ErrorIfExists"'
        raise AnalysisError.of(
            "UNSUPPORTED_DATA_SOURCE_SAVE_MODE",
            f'The data source "{operation.source}" cannot be written in the {mode} mode. Please use either the '
            '"Append" or "Overwrite" mode instead.',
            sql_state="0A000",
            source=operation.source,
            createMode=mode,
        )
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
