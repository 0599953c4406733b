"""Batch reads in formats that the engine does not have: riacho reads the rows and hands them over as Arrow files.

A read is only marked when a plan is prepared. Its rows are read when the plan runs, each time anew, and stay until
the call has ended; a plan that is only analysed gets the columns without rows. So a view over such a read, or the
batch side of a stream-static join, sees what is there at the time, as in Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import pyarrow as pa

from riacho.conf import CASE_SENSITIVE, PUSHDOWN
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.batch.batch_source import BatchSource, MakeBatchSource
from riacho.server.batch.delta_reads import OWN_DELTA, delta_read
from riacho.server.batch.kafka import kafka_read
from riacho.server.batch.own_files import OWN_AVRO, OWN_FILES, OWN_PARQUET, OWN_PLAIN, OWN_TEXTS, files_read
from riacho.server.batch.sql_inputs import flat, new_name, with_inputs
from riacho.server.batch.wanted import Wanted, reads_of, without_done
from riacho.server.engine.base import GLOBAL, OWN_FORMAT, OWN_READ, EngineSession, Keep, Surroundings
from riacho.server.engine.spool import FolderSpool, empty
from riacho.server.engine.stopping import checked
from riacho.server.plan import build
from riacho.server.plan.names_read import texts_with_queries
from riacho.server.plan.walk import at, transform, walk
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Edit, parse_identifier, splice

Lookup = Callable[[str, EngineSession], MakeBatchSource | None]
"""What reads a format (in lower case) in a session; None for a format that is the engine's, or nobody's."""

FORMATS: Final[Mapping[str, MakeBatchSource]] = {
    **{name: partial(files_read, name) for name in OWN_FILES},
    **{own: partial(files_read, name) for name, own in (OWN_TEXTS | OWN_PLAIN).items()},
    OWN_AVRO: partial(files_read, "avro"),
    OWN_PARQUET: partial(files_read, "parquet"),
    OWN_DELTA: delta_read,
    "kafka": kafka_read,
}
"""The formats that every session has, by name in lower case."""


def of_every_session(name: str, _: EngineSession) -> MakeBatchSource | None:
    """See `Lookup`; of `FORMATS`."""
    return FORMATS.get(name)


class OwnReads:
    """Marks reads of the formats that `lookup` knows, and replaces marked ones by their rows."""

    def __init__(self, lookup: Lookup = of_every_session) -> None:
        self._lookup = lookup

    def step(self, relation: pb.Relation, around: Surroundings) -> pb.Relation:
        """`relation` with such reads marked, those of the session's own views too; the same object if it has none."""
        if not any(self._concerns(node, around) for node in walk(relation)):
            return relation
        return transform(relation, lambda node: self._marked(node, around))

    def _concerns(self, node: pb.Relation, around: Surroundings) -> bool:
        kind = node.WhichOneof("rel_type")
        if kind == "sql":
            return bool(_own_views_in(node.sql.query, around))
        if kind != "read":
            return any(_own_views_in(text.expression, around) for text in texts_with_queries(node))
        if node.read.is_streaming:
            return False
        if node.read.HasField("named_table"):
            return _view_name(parse_identifier(node.read.named_table.unparsed_identifier)) in around.session.own_views
        name = node.read.data_source.format.lower()
        return bool(name) and name != OWN_READ and self._lookup(name, around.session) is not None

    def _marked(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        """A node of a copy of the plan, marked in place or replaced; what is below it is already."""
        if not self._concerns(node, around):
            return flat(node)
        if not node.HasField("read"):
            return _with_own_views(node, around)
        if node.read.HasField("named_table"):
            parts = parse_identifier(node.read.named_table.unparsed_identifier)
            view = around.session.own_views[_view_name(parts)]
            shown = pb.Relation(subquery_alias=pb.SubqueryAlias(input=view, alias=parts[-1]))
            shown.common.CopyFrom(node.common)
            return shown
        source = node.read.data_source
        source.options[OWN_FORMAT], source.format = source.format.lower(), OWN_READ
        return node

    def bound(self, relation: pb.Relation, around: Surroundings, keep: Keep) -> pb.Relation:
        """`relation` with marked reads replaced: by their rows, or by none if the plan is only analysed.

        Of the rows they give what the plan wants of them. Reads that are equal, and of which the same is wanted, are
        read once. Raises what the sources raise.
        """
        sources: dict[bytes, BatchSource] = {}

        def source_of(node: pb.Relation) -> BatchSource:
            key = node.read.SerializeToString(deterministic=True)
            if key not in sources:
                sources[key] = self._source(node.read.data_source, around)
            return sources[key]

        result = pb.Relation()
        result.CopyFrom(relation)
        zone = around.session.zone
        get_conf = around.session.get_conf
        # What is known of plans takes names in any case for the same.
        pushes = around.rows and PUSHDOWN.read(get_conf) and not CASE_SENSITIVE.read(get_conf)
        known: dict[Hashable, tuple[pb.Relation, frozenset[int]]] = {}
        for placed in reads_of(relation, _is_marked, lambda node: source_of(node).schema, zone, pushes=pushes):
            source = source_of(placed.read)
            key = (
                id(source),
                tuple(placed.wanted.of(source.schema).names),
                tuple(placed.wanted.filters),
                placed.wanted.limit,
            )
            if key not in known:
                known[key] = self._rows(source, placed.wanted, around, keep)
            node = at(result, placed.place)
            rows, done = known[key]
            without_done(result, placed, done)
            common = placed.read.common
            node.CopyFrom(rows)
            node.common.CopyFrom(common)
        return result

    def _source(self, marked: pb.Read.DataSource, around: Surroundings) -> BatchSource:
        given = pb.Read.DataSource()
        given.CopyFrom(marked)
        given.format = given.options.pop(OWN_FORMAT)
        make = self._lookup(given.format, around.session)
        assert make is not None, given.format
        return make(given, around.session)

    def _rows(
        self, source: BatchSource, wanted: Wanted, around: Surroundings, keep: Keep
    ) -> tuple[pb.Relation, frozenset[int]]:
        if not around.rows:
            return empty(source.schema), frozenset()
        spool = FolderSpool("read", zone=around.session.zone.engine)
        keep(spool.close)
        rows = source.read(wanted)
        kept = [at for at, name in enumerate(rows.schema.names) if name in wanted.columns]
        batches = rows.batches
        if len(kept) < len(rows.schema):
            batches = (batch.select(kept) for batch in batches)
        if wanted.limit is not None and len(rows.done) == len(wanted.filters):
            batches = _first(batches, wanted.limit)
        given = wanted.of(rows.schema)
        relation = spool.put_in_order(checked(batches), given)
        return _with_nulls(relation, given, source.schema), rows.done


def _with_nulls(relation: pb.Relation, given: pa.Schema, schema: pa.Schema) -> pb.Relation:
    """Rows in all columns of `schema`: what they lack is null, and nobody looks at it.

    A plan may ask for columns by their number, or put another one in the place of one, so all have to be there.
    """
    if len(given) == len(schema):
        return relation
    there = set(given.names)
    columns = (
        build.alias(build.col(each.name) if each.name in there else build.cast(build.null(), each.type), each.name)
        for each in schema
    )
    return build.project(relation, columns)


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """No more rows than that."""
    while rows > 0 and (batch := next(batches, None)) is not None:
        yield batch.slice(0, rows)
        rows -= batch.num_rows


def _is_marked(node: pb.Relation) -> bool:
    return node.HasField("read") and node.read.data_source.format == OWN_READ


def _view_name(parts: Sequence[str]) -> str:
    return ".".join(parts).lower()


def _own_views_in(text: str, around: Surroundings) -> list[TableReference]:
    """Where a text reads a view that the engine does not have."""
    views = around.session.own_views
    lowered = text.lower()
    if not any(name.removeprefix(GLOBAL) in lowered for name in views):
        return []
    return [found for found in table_references(text) if not found.streaming and _view_name(found.parts) in views]


def _with_own_views(node: pb.Relation, around: Surroundings) -> pb.Relation:
    """SQL text, or expressions with it, whose own views are names of relations beside it."""
    names: dict[str, str] = {}

    def named(text: str) -> str:
        edits: list[Edit] = []
        for found in _own_views_in(text, around):
            name = names.setdefault(_view_name(found.parts), new_name("view"))
            alias = "" if found.aliased else " AS " + quoted(found.parts[-1:])
            edits.append(Edit(found.start, found.end, name + alias))
        return splice(text, edits)

    if node.HasField("sql"):
        node.sql.query = named(node.sql.query)
    else:
        for text in texts_with_queries(node):
            text.expression = named(text.expression)
    return with_inputs(node, {name: around.session.own_views[view] for view, name in names.items()})
