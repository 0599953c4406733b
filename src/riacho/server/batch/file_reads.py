"""Batch reads of files and of paths, as the engine can do them right.

The engine reads a folder with all that lies below it, finds nothing behind `file:/x` or a path that is not there, and
takes partition values for text. So the files are found here, as Spark finds them (`file_index`), and the plan gets
them: the folder where the engine would find just these, else the files themselves. That goes for reads of a path, for
``json.`/path` `` in SQL, and for tables that are files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from riacho import types
from riacho.conf import PARTITION_TYPES, SOURCES_DEFAULT
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.identifiers import quoted
from riacho.paths import path_in_name
from riacho.protos import pb
from riacho.server.batch.file_plans import LISTED, read, read_of
from riacho.server.batch.file_rules import given_paths, reader_options, rules_of, schema_of_text
from riacho.server.batch.own_files import OWN_FILES, engine_reads, marked_files
from riacho.server.batch.sql_inputs import flat, new_name, shortened, with_inputs
from riacho.server.catalog.base import Table, TableName
from riacho.server.catalog.failures import delta_table_not_found, path_not_found
from riacho.server.catalog.registry import qualified
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.log import DeltaLog
from riacho.server.engine.base import OWN_READ, EngineSession, Surroundings
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.references import TableReference, respelled, table_references
from riacho.server.sql.tokens import Edit, parse_identifier, splice, tokenize
from riacho.server.streaming.sources.file_index import index
from riacho.storage import delta_place, is_object, place_of

FILE_FORMATS: Final = frozenset({"json", "csv", "parquet", "text", "avro", "binaryfile", *OWN_FILES})


class FileReads:
    """Puts the reads of files in batch plans right, for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def step(self, relation: pb.Relation, around: Surroundings) -> pb.Relation:
        """`relation` with its files found; the same object if it reads none. Its own result is left as it is.

        Raises PATH_NOT_FOUND, DELTA_TABLE_NOT_FOUND, UNABLE_TO_INFER_SCHEMA, what `file_index.index` raises, and
        UnsupportedOperationError for a path that is not on this machine.
        """
        if not any(self._concerns(node, around) for node in walk(relation)):
            return relation
        return transform(relation, lambda node: self._right(node, around))

    def _concerns(self, node: pb.Relation, around: Surroundings) -> bool:
        kind = node.WhichOneof("rel_type")
        if kind == "sql":
            text = node.sql.query
            return _with_paths(text) != text or bool(self._references(text, around))
        if kind != "read" or node.read.is_streaming:
            return False
        if node.read.HasField("named_table"):
            parts = parse_identifier(node.read.named_table.unparsed_identifier)
            return self._is_of_files(parts, around)
        source = node.read.data_source
        return source.format.lower() in {"", *FILE_FORMATS, "delta"} and LISTED not in source.options

    def _is_of_files(self, parts: Sequence[str], around: Surroundings) -> bool:
        """Whether a name is that of a path, of a table that is files, or of a persisted view."""
        if path_in_name(parts) is not None or self._table(parts, around) is not None:
            return True
        return self._view_text(parts, around) is not None

    def _qualified(self, parts: Sequence[str], around: Surroundings) -> TableName | None:
        """The full name of a table or view, unless a temporary view hides it."""
        if not parts or (len(parts) == 1 and parts[0].lower() in around.views):
            return None
        try:
            return self._catalog.qualify(parts, around.current_database)
        except AnalysisError:
            return None

    def _table(self, parts: Sequence[str], around: Surroundings) -> Table | None:
        """The table of that name, if it is files."""
        name = self._qualified(parts, around)
        entry = None if name is None or name.path is not None else self._catalog.entry(name)
        if name is None or entry is None or entry.format not in FILE_FORMATS:
            return None
        return self._catalog.table(name)

    def _view_text(self, parts: Sequence[str], around: Surroundings) -> str | None:
        """The text of a persisted view of that name: it is read as a query is, and prepared as one."""
        name = self._qualified(parts, around)
        view = None if name is None else self._catalog.view(name)
        if view is None:
            return None
        return qualified(view.text, view.name.database)

    def _references(self, text: str, around: Surroundings) -> list[TableReference]:
        """Where a text reads files. Not in CREATE VIEW, which only tells the engine of a view's name."""
        listing = self._catalog.listing()
        # Other servers may have made what a listing of a store does not show yet.
        is_known = isinstance(self._catalog.warehouse, Path)
        if "`" not in text and is_known and not listing.has_files and not listing.views:
            return []
        tokens = tokenize(text)
        if tokens and tokens[0].word == "CREATE":
            return []
        return [
            found
            for found in table_references(text, tokens)
            if not found.streaming and delta_place(found.parts) is None and self._is_of_files(found.parts, around)
        ]

    def _right(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        """A node of a copy of the plan, put right; what is below it is already."""
        if not self._concerns(node, around):
            return flat(node)
        if node.WhichOneof("rel_type") == "sql":
            return self._right_text(node, around)
        if node.read.HasField("named_table"):
            named = node.read.named_table
            parts = parse_identifier(named.unparsed_identifier)
            changed = self._named(parts, dict(named.options), around)
            if path_in_name(parts) is None:  # columns may be named after the table, with its database or without
                alias = pb.SubqueryAlias(input=changed, alias=parts[-1], qualifier=parts[:-1])
                changed = pb.Relation(subquery_alias=alias)
        else:
            changed = self._source(node.read.data_source, around.session)
        result = pb.Relation()
        result.CopyFrom(changed)
        result.common.CopyFrom(node.common)
        return result

    def _right_text(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        """SQL text whose tables of files are names of relations beside it."""
        edits: list[Edit] = []
        beside: dict[str, pb.Relation] = {}
        names: dict[tuple[str, ...], str] = {}
        node.sql.query = _with_paths(node.sql.query)
        replaced = self._references(node.sql.query, around)
        for found in replaced:
            key = found.parts
            if key not in names:
                read = self._named(key, {}, around)
                plain = _plain_name(read, around.session)
                names[key] = plain or new_name("files")
                if plain is None:
                    beside[names[key]] = read
            # The columns of a table may be named after it; nobody names those of a path after the path.
            alias = "" if found.aliased or path_in_name(key) is not None else " AS " + quoted(key[-1:])
            edits.append(Edit(found.start, found.end, names[key] + alias))
        node.sql.query = splice(node.sql.query, [*edits, *shortened(node.sql.query, replaced)])
        return with_inputs(node, beside)

    def _named(self, parts: Sequence[str], options: Mapping[str, str], around: Surroundings) -> pb.Relation:
        """What a name of a path, of a table of files or of a view of them stands for."""
        source = pb.Read.DataSource(options=options)
        table = self._table(parts, around)
        if (text := self._view_text(parts, around)) is not None:
            return around.session.prepared(pb.Relation(sql=pb.SQL(query=text)), rows=around.rows)
        if table is None:
            named = path_in_name(parts)
            assert named is not None, "asked before"
            source.format, path = named
            source.paths.append(path)
            return self._source(source, around.session)
        record = self._catalog.listing().tables[table.name].record
        source.format = table.format
        source.options.update(record.options if record is not None else {})
        if len(table.schema):
            source.schema = types.to_json(table.schema)
        return self._files(source, [str(table.location)], around.session, declared=table.partition_by or None)

    def _source(self, source: pb.Read.DataSource, session: EngineSession) -> pb.Relation:
        if not source.format:
            given, source = source, pb.Read.DataSource()
            source.CopyFrom(given)
            source.format = SOURCES_DEFAULT.read(session.get_conf)
            if source.format.lower() not in {*FILE_FORMATS, "delta"}:
                return pb.Relation(read=pb.Read(data_source=source))
        paths = given_paths(source)
        if source.format.lower() == "delta":
            return read(_delta(source, paths))
        return self._files(source, paths, session)

    def _files(
        self,
        source: pb.Read.DataSource,
        paths: Sequence[str],
        session: EngineSession,
        declared: Sequence[str] | None = None,
    ) -> pb.Relation:
        """The rows of the files at `paths`."""
        if source.format.lower() in OWN_FILES or any(map(is_object, paths)):
            return read(marked_files(source, paths, declared))
        found = index(paths, rules_of(source, session, declared))
        if not engine_reads(source, found.paths, session.zone):
            return read(marked_files(source, paths, declared))
        if found.partitions.names and not PARTITION_TYPES.read(session.get_conf):
            found = replace(found, partitions=pa.schema([(name, pa.string()) for name in found.partitions.names]))
        schema: pa.Schema | str | None = source.schema or None
        if schema and (found.partitions.names or not found.files):
            schema = schema_of_text(source.schema, session)
        return read_of(source.format, reader_options(source), found, schema, session.schema)


def _with_paths(text: str) -> str:
    """SQL text with the paths of Delta tables as they are on this machine. Raises as `_delta`."""

    def plain(parts: tuple[str, ...]) -> str | None:
        named = path_in_name(parts)
        if named is None or named[0] != "delta":
            return None
        return quoted(("delta", _delta(pb.Read.DataSource(), [named[1]]).paths[0]))

    return respelled(text, plain) if "`" in text else text


def _delta(source: pb.Read.DataSource, paths: Sequence[str]) -> pb.Read.DataSource:
    """A read of a Delta table by its path on this machine.

    Raises IllegalArgumentError, PATH_NOT_FOUND, DELTA_TABLE_NOT_FOUND.
    """
    if len(paths) != 1:
        raise IllegalArgumentError("'path' is not specified: give load() one path, or read the table by its name")
    folder = place_of(paths[0])
    if isinstance(folder, Path):  # whoever reads one in object storage says so too: each look is a request
        if not folder.exists():
            raise path_not_found(paths[0])
        if not DeltaLog(folder).exists():
            raise delta_table_not_found(paths[0])
    found = pb.Read.DataSource(format="delta", schema=source.schema, paths=[str(folder)])
    found.options.update({key: value for key, value in source.options.items() if key.lower() not in {"path", "paths"}})
    found.options[LISTED] = "true"
    return found


def _plain_name(relation: pb.Relation, session: EngineSession) -> str | None:
    """A name under which the engine reads just this, if there is one."""
    source = relation.read.data_source
    if (
        relation.WhichOneof("rel_type") != "read"
        or source.format == OWN_READ
        or len(source.paths) != 1
        or len(source.options) > 1
        or source.schema
    ):
        return None
    return quoted((source.format.lower(), source.paths[0])) if session.means_path(source.paths[0]) else None
