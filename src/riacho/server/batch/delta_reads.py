"""Batch reads of Delta tables in object storage: riacho reads them, for the engine knows no session's credentials.

    before                          after
    Read lake.t                     Read riacho.own (format riacho.delta, path s3a://…)
    SQL "… FROM lake.t AS OF 3 …"   WithRelations
                                      SQL "… FROM riacho_delta_7 …"
                                      SubqueryAlias riacho_delta_7 (Read riacho.own …)

The rows are read as those of other own reads are (`own_reads`). A table of the warehouse is read with the server's
credentials, any other with the session's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.batch.batch_source import RowsRead
from riacho.server.batch.file_skipping import with_wanted_rows
from riacho.server.batch.sql_inputs import flat, is_own_name, new_name, shortened, with_inputs
from riacho.server.batch.wanted import Wanted
from riacho.server.catalog.failures import delta_table_not_found, path_not_found
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta import files
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile
from riacho.server.delta.changes import require_files
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import require_readable
from riacho.server.delta.state import TableState, load_state
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import OWN_FORMAT, OWN_READ, EngineSession, Surroundings
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Edit, parse_identifier, splice, tokenize
from riacho.server.streaming.sources.delta.reading import FileRead, read_ahead
from riacho.storage import ObjectPath, Place, delta_place, is_object, of_session, place_of

OWN_DELTA: Final = "riacho.delta"
"""The name in `own_reads.FORMATS` of the reader."""
_SERVERS: Final = "riacho.of the server"
"""The option of a read that uses the server's credentials."""
_VERSION: Final = "versionasof"
_KEPT_TABLES: Final = 256
_READERS: Final = 8
"""Files that are read at once: a store takes its time for each, and not the processor's."""

Parts = Sequence[str]


class DeltaReads:
    """Marks the reads of Delta tables that lie in object storage, for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def step(self, relation: pb.Relation, around: Surroundings) -> pb.Relation:
        """`relation` with such reads marked; the same object if it has none. Raises as `place_of`."""
        if not any(self._concerns(node, around) for node in walk(relation)):
            return relation
        return transform(relation, lambda node: self._marked(node, around))

    def _concerns(self, node: pb.Relation, around: Surroundings) -> bool:
        kind = node.WhichOneof("rel_type")
        if kind == "sql":
            return bool(self._references(node.sql.query, around))
        if kind != "read" or node.read.is_streaming:
            return False
        if node.read.HasField("named_table"):
            return self._place(parse_identifier(node.read.named_table.unparsed_identifier), around) is not None
        source = node.read.data_source
        return source.format.lower() == "delta" and any(map(is_object, source.paths))

    def _marked(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        """A node of a copy of the plan, marked in place or replaced."""
        if not self._concerns(node, around):
            return flat(node)
        if node.HasField("sql"):
            return self._marked_text(node, around)
        if node.read.HasField("named_table"):
            parts = parse_identifier(node.read.named_table.unparsed_identifier)
            place = self._place(parts, around)
            assert place is not None, "asked before"
            read = self._read(place, node.read.named_table.options)
            # Columns may be named after the table, with its database or without.
            alias = pb.SubqueryAlias(input=read, alias=parts[-1], qualifier=parts[:-1])
            marked = read if delta_place(parts) is not None else pb.Relation(subquery_alias=alias)
        else:
            given = place_of(node.read.data_source.paths[0])
            assert isinstance(given, ObjectPath), "asked before"
            marked = self._read(given, node.read.data_source.options)
        marked.common.CopyFrom(node.common)
        return marked

    def _marked_text(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        edits: list[Edit] = []
        beside: dict[str, pb.Relation] = {}
        names: dict[tuple[Parts, str], str] = {}
        text = node.sql.query
        replaced = self._references(text, around)
        for found in replaced:
            place = self._place(found.parts, around)
            assert place is not None, "asked before"
            clause = text[found.end : found.version_end].split()
            options = {_VERSION: clause[-1]} if clause else {}
            key = (found.parts, "".join(options.values()))
            if key not in names:
                names[key] = new_name("delta")
                beside[names[key]] = self._read(place, options)
            alias = "" if found.aliased or delta_place(found.parts) is not None else " AS " + quoted(found.parts[-1:])
            edits.append(Edit(found.start, found.version_end, names[key]))
            edits.append(Edit(found.behind, found.behind, alias))
        node.sql.query = splice(text, [*edits, *shortened(text, replaced)])
        return with_inputs(node, beside)

    def _references(self, text: str, around: Surroundings) -> list[TableReference]:
        """Where a text reads such tables. Not in CREATE VIEW, which only tells the engine of a view's name."""
        if "://" not in text and not self._catalog.has_objects:
            return []
        tokens = tokenize(text)
        if tokens and tokens[0].word == "CREATE":
            return []
        found = table_references(text, tokens)
        return [each for each in found if not each.streaming and self._place(each.parts, around) is not None]

    def _place(self, parts: Parts, around: Surroundings) -> ObjectPath | None:
        """Where the Delta table of that name lies, if it is in object storage and no temporary view hides it."""
        place: Place | None = delta_place(parts)
        if place is None:
            alone = parts[0].lower() if len(parts) == 1 else ""
            if not self._catalog.has_objects or alone in around.views or is_own_name(alone):
                return None
            try:
                name = self._catalog.qualify(parts, around.current_database)
            except AnalysisError:
                return None
            entry = self._catalog.entry(name)
            place = None if entry is None or entry.format != "delta" else entry.location
        return place if isinstance(place, ObjectPath) else None

    def _read(self, place: ObjectPath, options: Mapping[str, str]) -> pb.Relation:
        given = {key.lower(): value for key, value in options.items()}
        marked = pb.Read.DataSource(format=OWN_READ, paths=[str(place)], options={OWN_FORMAT: OWN_DELTA})
        if _VERSION in given:
            marked.options[_VERSION] = given[_VERSION]
        if isinstance(self._catalog.warehouse, ObjectPath) and place.is_relative_to(self._catalog.warehouse):
            marked.options[_SERVERS] = "true"
        return pb.Relation(read=pb.Read(data_source=marked))


@dataclass(frozen=True)
class DeltaRead:
    """See `own_reads.BatchSource`: one version of a table."""

    table: Place
    schema: pa.Schema
    held: Sequence[AddFile]

    def read(self, wanted: Wanted) -> RowsRead:
        """Files one after the other, the next ones while the last is used: those that may have wanted rows.

        Where no column is wanted, rows are counted by the log. Raises FAILED_READ_FILE.
        """
        schema = wanted.of(self.schema)
        held = with_wanted_rows(self.held, self.schema, wanted.filters)
        if not len(schema) and all(add.num_records is not None and add.deletion_vector is None for add in held):
            return RowsRead(schema, chain.from_iterable(_counted(add.num_records or 0) for add in held))
        if not len(schema):
            schema = pa.schema([self.schema.field(0)])
        reads = [self._file(add, schema) for add in held]
        return RowsRead(schema, read_ahead(reads, with_metadata=False, workers=_READERS))

    def _file(self, add: AddFile, schema: pa.Schema) -> FileRead:
        file = files.data_file(self.table, add)
        return FileRead(file.path, add.size, partial(files.read_batches, file, schema))


def _counted(rows: int) -> Iterator[pa.RecordBatch]:
    """So many rows of nothing."""
    for start in range(0, rows, files.READ_ROWS):
        dummy = pa.nulls(min(files.READ_ROWS, rows - start))
        yield pa.RecordBatch.from_arrays([dummy], ["nothing"]).select([])


def delta_read(source: pb.Read.DataSource, session: EngineSession) -> DeltaRead:
    """The read of a table in object storage. See `own_reads.MakeBatchSource`.

    Raises PATH_NOT_FOUND, DELTA_TABLE_NOT_FOUND, DELTA_UNSUPPORTED_FEATURES_FOR_READ, and as `load_state`.
    """
    settings = of_session({}) if _SERVERS in source.options else session.storage
    table = place_of(source.paths[0], settings)
    version = source.options.get(_VERSION)
    if version is not None:
        if not DeltaLog(table).exists():
            raise _missing(table)
        return _read_of(table, load_state(DeltaLog(table), int(version), with_files=True))
    return _tables.newest(table)


def _read_of(table: Place, state: TableState) -> DeltaRead:
    require_readable(table, state.protocol, state.metadata)
    held = tuple(require_files(state).values())
    return DeltaRead(table, schemas.to_arrow(state.metadata.schema_json), held)


def _missing(table: Place) -> AnalysisError:
    return delta_table_not_found(str(table)) if table.exists() else path_not_found(str(table))


class _Tables:
    """The last tables that were read, each followed from version to version: its log is not read anew each time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Place, tuple[DeltaWriter, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def newest(self, table: Place) -> DeltaRead:
        with self._lock:
            if table not in self._kept:
                self._kept[table] = DeltaWriter(table, with_files=True), threading.Lock()
            self._kept.move_to_end(table)
            writer, using = self._kept[table]
            while len(self._kept) > _KEPT_TABLES:
                self._kept.popitem(last=False)
        with using:
            state = writer.state()
            if state is None:
                raise _missing(table)
            return _read_of(table, state)


_tables: Final = _Tables()
