"""TIMESTAMPs in the session's time zone, whatever zone they are read in.

    before                       after
    Read db.t                    SubqueryAlias db.t
                                   WithColumns ts: CAST(ts AS TIMESTAMP)
                                     Read db.t
    SQL "… FROM db.t …"          WithRelations
                                   SQL "… FROM db.t …"
                                   SubqueryAlias db.t …

The engine's functions take the zone that a column carries (`hour(ts)`), and a cast to TIMESTAMP gives it the session's
without touching a value: an instant is one in every zone. Delta tables and Parquet files carry UTC or what their writer
had; a temporary view carries the zone that the session had when it was made. What files of JSON and CSV give is in the
session's zone already.

A session that has always been in UTC needs none of this, and pays a look at one flag.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import count

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.catalog.base import TableName
from riacho.server.catalog.moments import moment_of
from riacho.server.catalog.registry import qualified
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import EngineSession, Surroundings
from riacho.server.plan import build
from riacho.server.plan.walk import transform
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Edit, parse_identifier, splice, tokenize
from riacho.server.sql.words import words

_DONE = "riacho: in the session's time zone"
"""Marks nodes that need no second look."""
_TEXT_FORMATS = frozenset({"csv", "json"})
_OWN_ZONE = frozenset({"delta", "parquet", "avro"})
"""Formats whose TIMESTAMPs come in a zone of their own."""
_VERSION_OPTIONS = frozenset({"versionasof", "timestampasof"})
_plan_ids = count(1 << 49)
_READS = words("SELECT WITH FROM VALUES TABLE MERGE UPDATE DELETE INSERT")
"""The first word of a text whose tables are looked at: of a query, or of a statement that changes rows."""

Parts = tuple[str, ...]


class ZonedReads:
    """A step of the preparation of plans, for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def step(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation` with the session's zone in what it reads; the same object if that is so already."""
        if not surroundings.session.zone_changed:
            return relation
        return transform(relation, _Zoned(self._catalog, surroundings).node)


class _Zoned:
    """One run over one plan."""

    def __init__(self, catalog: WarehouseCatalog, surroundings: Surroundings) -> None:
        self._catalog = catalog
        self._surroundings = surroundings
        self._session = surroundings.session

    def node(self, node: pb.Relation) -> pb.Relation:
        """A node of a copy of the plan, with what it reads put right."""
        if node.common.source_info == _DONE:
            return node
        match node.WhichOneof("rel_type"):
            case "read" if not node.read.is_streaming:
                return self._read(node)
            case "sql":
                return self._text(node)
            case "with_relations" if node.with_relations.root.HasField("with_relations"):
                return _flat(node)
            case _:
                return node

    def _read(self, node: pb.Relation) -> pb.Relation:
        if node.read.HasField("named_table"):
            parts = parse_identifier(node.read.named_table.unparsed_identifier)
            view = self._view(parts)
            if view is not None:
                return _beside(node, list(self._references(view.text, view.database)))
            if not self._session.zone.is_utc:
                self._in_utc(node.read.named_table.options)
            zoned = self._named(parts, node)
            return _seen(node) if zoned is None else _in_place_of(node, _aliased(zoned, parts))
        source = node.read.data_source
        if source.format.lower() not in _OWN_ZONE or self._session.zone.is_utc:
            return node
        if source.format.lower() == "delta":
            self._in_utc(source.options)
        zoned = in_zone_of(self._session, _marked(node))
        return _seen(node) if zoned is None else _in_place_of(node, zoned)

    def _text(self, node: pb.Relation) -> pb.Relation:
        text = node.sql.query
        if next((token.word for token in tokenize(text) if not token.is_symbol("(")), "") not in _READS:
            return node
        edits: list[Edit] = []
        beside: list[pb.Relation] = []
        for reference in table_references(text):
            piece = self._replaced(text, reference)
            if piece is not None:
                name = f"__riacho_zoned_{len(beside)}"
                edits += _renamed(reference, name)
                beside.append(_aliased(piece, (name,)))
        # Those come first: what they read by its own name must not find the others.
        beside += self._references(text, None)
        node.sql.query = splice(text, edits)
        return _beside(node, beside)

    def _replaced(self, text: str, reference: TableReference) -> pb.Relation | None:
        """What stands for a reference that no relation of the same name can: an older version, a path."""
        if reference.streaming or self._session.zone.is_utc:
            return None
        by_path = len(reference.parts) == 2 and reference.parts[0].lower() == "delta"
        if reference.version_end == reference.end and not by_path:
            return None
        whole = pb.Relation()
        whole.sql.query = " ".join(("SELECT * FROM", text[reference.start : reference.version_end]))
        return in_zone_of(self._session, _marked(whole))

    def _references(self, text: str, database: str | None) -> Iterator[pb.Relation]:
        """A relation for each table and view that a text reads by name, under that name.

        `database`: that of a persisted view whose text it is; the engine looks its tables up where it stands, so what
        it reads is put beside the text that reads it.
        """
        seen: set[Parts] = set()
        for reference in table_references(text if database is None else qualified(text, database)):
            if reference.streaming or reference.parts in seen or reference.version_end != reference.end:
                continue
            seen.add(reference.parts)
            view = self._view(reference.parts)
            if view is not None:
                yield from self._references(view.text, view.database)
                continue
            read = pb.Relation()
            read.read.named_table.unparsed_identifier = ".".join(quote_if_needed(part) for part in reference.parts)
            zoned = self._named(reference.parts, read)
            if zoned is not None:
                yield _aliased(zoned, reference.parts)

    def _named(self, parts: Parts, read: pb.Relation) -> pb.Relation | None:
        """The read of a table or temporary view by its name, in the session's zone; None if it is so already."""
        if ".".join(parts).lower() in self._surroundings.views:
            return in_zone_of(self._session, _marked(read))
        name = self._name(parts)
        if name is None or self._session.zone.is_utc:
            return None
        table = self._catalog.table(name)
        if table is None or not any(types.holds_timestamp(field.type) for field in table.schema):
            return None
        if table.format in _TEXT_FORMATS:
            # Registered, its times without a zone would be read as UTC.
            entry = self._catalog.listing().tables[name]
            source = pb.Relation()
            source.read.data_source.format = table.format
            source.read.data_source.schema = types.to_json(table.schema)
            source.read.data_source.paths.append(str(table.location))
            source.read.data_source.options.update(entry.record.options if entry.record is not None else {})
            return _marked(source)
        options = {key.lower() for key in read.read.named_table.options}
        return in_zone_of(self._session, _marked(read), None if options & _VERSION_OPTIONS else table.schema)

    def _in_utc(self, options: MutableMapping[str, str]) -> None:
        """The time of an older version, which the engine takes for one in UTC."""
        for key, value in options.items():
            if key.lower() == "timestampasof":
                options[key] = str(moment_of(value, self._session.zone.tzinfo).astimezone(UTC).replace(tzinfo=None))

    def _view(self, parts: Parts) -> _ViewText | None:
        """The persisted view of that name."""
        if not parts or ".".join(parts).lower() in self._surroundings.views:
            return None
        name = self._name(parts)
        record = None if name is None else self._catalog.listing().views.get(name)
        return None if record is None or name is None else _ViewText(record.text, name.database)

    def _name(self, parts: Parts) -> TableName | None:
        """The full name of a table or view of the catalog."""
        try:
            lowered = tuple(part.lower() for part in parts)
            name = self._catalog.qualify(lowered, self._surroundings.current_database)
        except AnalysisError:
            return None
        return name if self._catalog.listing().has(name) else None


@dataclass(frozen=True)
class _ViewText:
    """A persisted view's text, and the database in which it looks its tables up."""

    text: str
    database: str


def in_zone_of(session: EngineSession, read: pb.Relation, schema: pa.Schema | None = None) -> pb.Relation | None:
    """`read` with its TIMESTAMPs in the session's zone; None if it has none. `schema`: its own, where it is known.

    Raises SparkError if it is not known and the engine cannot tell it.
    """
    if schema is None:
        schema = session.schema(read)
    aliases = [
        build.alias(build.cast(build.col(field.name), field.type), field.name).alias
        for field in schema
        if types.holds_timestamp(field.type)
    ]
    return pb.Relation(with_columns=pb.WithColumns(input=read, aliases=aliases)) if aliases else None


def _marked(node: pb.Relation) -> pb.Relation:
    """A copy that needs no second look, and is found by nobody's columns."""
    marked = pb.Relation()
    marked.CopyFrom(node)
    marked.common.Clear()
    marked.common.source_info = _DONE
    return marked


def _seen(node: pb.Relation) -> pb.Relation:
    """The node itself, that needs no second look."""
    node.common.source_info = _DONE
    return node


def _in_place_of(node: pb.Relation, zoned: pb.Relation) -> pb.Relation:
    """`zoned` where `node` stood: columns taken from its DataFrame find it."""
    zoned.common.CopyFrom(node.common)
    return zoned


def _aliased(zoned: pb.Relation, parts: Parts) -> pb.Relation:
    """`zoned` under the name that it is read by."""
    alias = pb.SubqueryAlias(input=zoned, alias=parts[-1], qualifier=parts[:-1])
    return pb.Relation(subquery_alias=alias)


def _renamed(reference: TableReference, name: str) -> list[Edit]:
    """The edits that read `name` for a reference, which keeps its alias or gets the one that it has by itself."""
    edits = [Edit(reference.start, reference.version_end, name)]
    if not reference.aliased:
        edits.append(Edit(reference.behind, reference.behind, f" AS {quote_if_needed(reference.parts[-1])}"))
    return edits


def _beside(node: pb.Relation, references: Sequence[pb.Relation]) -> pb.Relation:
    """`node` with relations that it may read by their names."""
    if not references:
        return node
    root = _marked(node)
    for reference in references:
        reference.common.plan_id = next(_plan_ids)
    return _in_place_of(node, pb.Relation(with_relations=pb.WithRelations(root=root, references=references)))


def _flat(node: pb.Relation) -> pb.Relation:
    """Relations beside relations that stand beside a text, in one list."""
    inner = node.with_relations.root.with_relations
    flat = pb.WithRelations(root=inner.root, references=[*inner.references, *node.with_relations.references])
    return _in_place_of(node, pb.Relation(with_relations=flat))
