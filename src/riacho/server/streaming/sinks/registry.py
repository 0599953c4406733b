"""From a start's request to its sink: the function, the table or the format decides. Nothing is made or shown yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from riacho.conf import SOURCES_DEFAULT
from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.options import Options
from riacho.protos import pb
from riacho.server.catalog.base import Table, TableName
from riacho.server.catalog.warehouse import FILE_FORMATS
from riacho.server.engine.base import UserClass
from riacho.server.files.checks import missing_path
from riacho.server.files.path_writes import no_binary
from riacho.server.formats.write.files import FORMATS
from riacho.server.plan.formats import STREAMS_ONLY, data_source_not_found, not_for_streams, short_name
from riacho.server.streaming.context import StreamingContext
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.sinks.base import QUERY_OPTIONS, Sink
from riacho.server.streaming.sinks.console import ConsoleSink
from riacho.server.streaming.sinks.delta import DeltaSink
from riacho.server.streaming.sinks.files import FileSink
from riacho.server.streaming.sinks.foreach import ForeachSink
from riacho.server.streaming.sinks.foreach_batch import ForeachBatchSink
from riacho.server.streaming.sinks.kafka import KafkaSink
from riacho.server.streaming.sinks.memory import MemorySink
from riacho.server.streaming.sinks.noop import NoopSink
from riacho.server.streaming.sinks.python_sink import PythonSink
from riacho.server.streaming.sinks.table import NewTableSink
from riacho.server.workers.sources import registered
from riacho.storage import Place, place_of
from riacho.types import nullable

MakeSink = Callable[[StreamingContext, StartRequest], Sink]


def make_sink(context: StreamingContext, request: StartRequest) -> Sink:
    """The sink that a start asks for.

    Raises DATA_SOURCE_NOT_FOUND for an unknown format, and what a sink says of its options.
    """
    if request.make_sink is not None:
        return request.make_sink(context)
    if request.foreach_batch is not None:
        _check_options("foreachBatch", request)
        return _foreach_batch(context, request)
    if request.foreach is not None:
        return _foreach(request, request.foreach)
    if request.table:
        return _table(context, request)
    form = _format(context, request)
    make = SINKS.get(form)
    if make is None:
        if form in {*STREAMS_ONLY, "jdbc"}:
            raise not_for_streams(request.format, "writing")
        found = registered.find(form, context.session)
        if found is not None:
            return _python(context, request, found)
        raise data_source_not_found(request.format or form)
    return make(context, request)


def check_delta(table: Table) -> None:
    """Raises UnsupportedOperationError for a table of another format."""
    if table.format != "delta":
        raise UnsupportedOperationError(
            f"riacho writes streams to Delta tables; {table.name} is a {table.format} table. Create it USING delta."
        )


def _foreach_batch(context: StreamingContext, request: StartRequest) -> Sink:
    _refuse_table(request, "foreachBatch")
    assert request.foreach_batch is not None
    return ForeachBatchSink(request.foreach_batch, context.owner, context.connect_url, context.relations)


def _foreach(request: StartRequest, function: pb.PythonUDF) -> Sink:
    _refuse_table(request, "foreach")
    _check_options("foreach", request)
    return ForeachSink(function)


def _table(context: StreamingContext, request: StartRequest) -> Sink:
    """Append to a table of the catalog, which is made if it is missing (Spark: `DataStreamWriter.toTable`)."""
    name = context.catalog.qualify(request.table, context.database)
    table = context.catalog.table(name)
    if table is None:
        return _new_table(context, request, name)
    if request.format and request.format.lower() != table.format:
        raise AnalysisError(
            f"The input source({request.format.lower()}) is different from the table {name}'s data source provider("
            f"{table.format})."
        )
    if table.format in FORMATS:
        return _file_table(context, request, table)
    check_delta(table)
    return _delta_sink(context, request, table.location)


def _file_table(context: StreamingContext, request: StartRequest, table: Table) -> Sink:
    """A table that is files: it has its own partitions and options."""
    entry = context.catalog.listing().tables.get(table.name)
    kept = {} if entry is None or entry.record is None else entry.record.options
    options = {**{key.lower(): value for key, value in kept.items()}, **request.options}
    return FileSink(table.format, table.location, table.partition_by, options, context.clock, request.shared)


def _new_table(context: StreamingContext, request: StartRequest, name: TableName) -> Sink:
    form = _format(context, request)
    if form != "delta" and form not in FORMATS:
        if form not in FILE_FORMATS:
            raise data_source_not_found(request.format or form)
        raise UnsupportedOperationError(
            f"riacho writes streams to tables of Delta and of files; {name} would be a {form} table. Leave the format "
            "out."
        )
    given = request.options.get("path") or request.path
    location = place_of(given).absolute() if given else None
    create = context.catalog.create_table
    make = partial(create, name, format=form, partition_by=request.partition_by, location=location)
    folder = location or context.catalog.location_for(name)
    sink = _delta_sink(context, request, folder) if form == "delta" else _file_sink(context, request, form, folder)
    return NewTableSink(sink, lambda schema: make(nullable(schema)))


def _format(context: StreamingContext, request: StartRequest) -> str:
    return short_name(request.format or SOURCES_DEFAULT.read(context.session.get_conf))


def _delta_sink(context: StreamingContext, request: StartRequest, path: Place) -> DeltaSink:
    return DeltaSink(path, request.partition_by, request.options, context.clock, context.housekeeper)


def _delta(context: StreamingContext, request: StartRequest) -> Sink:
    path = request.path or request.options.get("path", "")
    if not path:
        raise IllegalArgumentError("'path' is not specified: give start() a path, or use toTable()")
    return _delta_sink(context, request, place_of(path))


def _files(form: str) -> MakeSink:
    """What makes the sinks of a file format."""

    def make(context: StreamingContext, request: StartRequest) -> Sink:
        path = request.path or request.options.get("path", "")
        if not path:
            raise missing_path()
        return _file_sink(context, request, form, place_of(path))

    return make


def _binary_files(_: StreamingContext, __: StartRequest) -> Sink:
    raise no_binary()


def _file_sink(context: StreamingContext, request: StartRequest, form: str, path: Place) -> FileSink:
    return FileSink(form, path, request.partition_by, request.options, context.clock, request.shared)


def _memory(context: StreamingContext, request: StartRequest) -> Sink:
    _refuse_partitioning(request, "memory")
    _check_options("memory", request)
    if request.name is None:
        raise AnalysisError("queryName must be specified for memory sink.")
    return MemorySink(request.name, context.session, context.engine, context.show_view)


def _python(context: StreamingContext, request: StartRequest, found: UserClass) -> Sink:
    options = dict(request.options)
    if request.path:
        options["path"] = request.path
    return PythonSink(request.format, found, options, context.session)


def _noop(_: StreamingContext, request: StartRequest) -> Sink:
    _check_options("noop", request)
    return NoopSink()


def _check_options(sink: str, request: StartRequest) -> None:
    """Warn of options that a sink without any of its own ignores."""
    Options.check(f"{sink} sink", QUERY_OPTIONS, request.options)


def _refuse_table(request: StartRequest, sink: str) -> None:
    """Refuse what only tables and files have, of a sink that is a function."""
    _refuse_partitioning(request, sink)
    if request.table:
        raise data_source_not_found(sink)


def _refuse_partitioning(request: StartRequest, sink: str) -> None:
    if request.partition_by:
        raise AnalysisError(f"'{sink}' does not support partitioning.")


SINKS: Final[Mapping[str, MakeSink]] = {
    "delta": _delta,
    "memory": _memory,
    "console": lambda _, request: ConsoleSink(request.options),
    "noop": _noop,
    **{form: _files(form) for form in sorted(FORMATS)},
    "binaryfile": _binary_files,
    "kafka": lambda _, request: KafkaSink(request.options),
}
"""The formats of `DataStreamWriter.format`, by name."""
