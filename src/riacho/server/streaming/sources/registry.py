"""From a streaming leaf of a plan to its source: the format, or the table, decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from riacho.conf import SCHEMA_INFERENCE, SOURCES_DEFAULT
from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.catalog.base import CatalogReader
from riacho.server.catalog.failures import table_not_found
from riacho.server.engine.base import EngineSession
from riacho.server.engine.schemas import given_schema
from riacho.server.plan.formats import STREAMS_ONLY, data_source_not_found, not_for_streams, short_name
from riacho.server.streaming.sources import cloud_files, file_formats
from riacho.server.streaming.sources.base import Source
from riacho.server.streaming.sources.delta.source import DeltaSource
from riacho.server.streaming.sources.kafka import KafkaSource
from riacho.server.streaming.sources.python_source import PythonStreamSource
from riacho.server.streaming.sources.rate import RatePerBatchSource, RateSource
from riacho.server.streaming.sources.reader_defaults import with_defaults
from riacho.server.streaming.sources.socket import SocketSource
from riacho.server.workers.sources import registered
from riacho.storage import place_of

GENERATED: Mapping[str, Callable[[Mapping[str, str]], Source]] = {
    "rate": RateSource.from_options,
    "rate-micro-batch": RatePerBatchSource.from_options,
    "socket": SocketSource.from_options,
}
"""Sources that have columns of their own."""
_PROVIDERS = {
    "rate": "RateStreamProvider",
    "rate-micro-batch": "RatePerMicroBatchProvider",
    "socket": "TextSocketSourceProvider",
}
"""What Spark calls them when it refuses other columns."""


def make_source(leaf: pb.Relation, session: EngineSession, catalog: CatalogReader, current_database: str) -> Source:
    """The source of a streaming `Read` leaf.

    Raises DATA_SOURCE_NOT_FOUND for an unknown format, TABLE_OR_VIEW_NOT_FOUND, and what a source says of its options.
    """
    if leaf.read.HasField("named_table"):
        return _table_source(leaf.read.named_table, session, catalog, current_database)
    read = leaf.read.data_source
    options = {key.lower(): value for key, value in read.options.items()}
    format_name = short_name(read.format or SOURCES_DEFAULT.read(session.get_conf))
    if format_name in GENERATED:
        source = GENERATED[format_name](options)
        if read.schema:
            raise UnsupportedOperationError(f"{_PROVIDERS[format_name]} source does not support user-specified schema.")
        return source
    if format_name == "cloudfiles" or format_name in file_formats.FORMATS:
        schema = given_schema(read.schema, session)
        path = read.paths[0] if read.paths else None
        if format_name == "cloudfiles":
            form = options.get("cloudfiles.format", "").lower()
            given = with_defaults(form, read.options, session.get_conf, session.zone)
            return cloud_files.from_read(schema, given, path, session.parse_ddl)
        infer = SCHEMA_INFERENCE.read(session.get_conf)
        given = with_defaults(format_name, options, session.get_conf, session.zone)
        return file_formats.from_read(format_name, schema, given, path, infer=infer)
    if format_name == "delta":
        path = read.paths[0] if read.paths else options.get("path")
        if path is None:
            raise IllegalArgumentError("'path' is not specified: give load() a path, or use readStream.table()")
        return DeltaSource.of(place_of(path), read.options, given_schema(read.schema, session), session.zone)
    if format_name == "kafka":
        return KafkaSource.of(read.options, given_schema(read.schema, session))
    if format_name in {*STREAMS_ONLY, "jdbc"}:
        raise not_for_streams(read.format, "reading")
    found = registered.find(format_name, session)
    if found is not None:
        source = PythonStreamSource(registered.use(read, found, session))
        source.schema  # noqa: B018 - what is wrong with it is told now
        return source
    raise data_source_not_found(read.format)


def _table_source(
    read: pb.Read.NamedTable, session: EngineSession, catalog: CatalogReader, current_database: str
) -> Source:
    """A table as a stream: a Delta table by its versions, another one by the files in its folder."""
    name = catalog.qualify(read.unparsed_identifier, current_database)
    table = catalog.table(name)
    if table is None:
        raise table_not_found(name)
    if table.format == "delta":
        return DeltaSource.of(table.location, read.options, zone=session.zone)
    own = {key.lower(): value for key, value in table.options.items()}
    given = own | {key.lower(): value for key, value in read.options.items()}
    options = with_defaults(table.format, given, session.get_conf, session.zone)
    schema = table.schema if len(table.schema) else None
    return file_formats.from_read(table.format, schema, options, str(table.location), infer=True)
