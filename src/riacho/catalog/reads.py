"""Batch reads that the engine would get wrong, put right in the plan before it gets it.

* a change feed (`readChangeFeed`): the engine gives the table's rows; the plan gets the feed's rows instead;
* names in another case (`Bronze.Events`): the engine tells them apart, Spark does not;
* a Delta table at a path that the engine cannot read (a blank, an accent): it gets another name for the folder.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.catalog.change_feed import asks_for_changes, plan_change_feed
from riacho.catalog.names import quoted
from riacho.catalog.warehouse import WarehouseCatalog
from riacho.engine.links import plain_path
from riacho.errors import AnalysisError, SparkGeneralError
from riacho.paths import local_path
from riacho.plan.sql_tables import table_references
from riacho.plan.tokens import Edit, parse_identifier, splice
from riacho.plan.walk import Finder, transform
from riacho.protos import pb

MAX_FEED_BYTES = 100 << 20
"""The engine takes messages of up to 128 MiB, and the rows of a change feed go to it inside the plan."""

_READS = Finder(pb.Read)
_TEXTS = Finder(pb.SQL)


class CatalogReads:
    """Puts the reads of batch plans right for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def bind(self, relation: pb.Relation, current_database: str, *, rows: bool = True) -> pb.Relation:
        """`relation` as the engine can run it; the same object if it can already.

        `rows`: False leaves a change feed empty, which is enough to analyse the plan. Raises what `plan_change_feed`
        raises, and SparkGeneralError for a feed too large for a plan.
        """
        reads = [read for read in _READS.nearest(relation) if not read.is_streaming]
        odd = any(self._is_odd(read, current_database) for read in reads)
        texts = [text for text in _TEXTS.nearest(relation) if self._known_case(text.query, current_database)]
        if not odd and not texts:
            return relation
        return transform(relation, lambda node: self._right(node, current_database, rows))

    def _is_odd(self, read: pb.Read, current_database: str) -> bool:
        if asks_for_changes(read):
            return True
        if read.HasField("named_table"):
            return self._lowered(parse_identifier(read.named_table.unparsed_identifier), current_database) is not None
        return self._plain(read) is not None

    def _right(self, node: pb.Relation, current_database: str, rows: bool) -> pb.Relation:
        """A node of a copy of the plan, put right in place."""
        kind = node.WhichOneof("rel_type")
        if kind == "sql":
            node.sql.query = self._known_case(node.sql.query, current_database) or node.sql.query
        if kind != "read" or node.read.is_streaming:
            return node
        if asks_for_changes(node.read):
            changed = self._feed(node.read, current_database, rows)
            changed.common.CopyFrom(node.common)
            return changed
        if node.read.HasField("named_table"):
            table = node.read.named_table
            lowered = self._lowered(parse_identifier(table.unparsed_identifier), current_database)
            table.unparsed_identifier = table.unparsed_identifier if lowered is None else quoted(lowered)
        elif (plain := self._plain(node.read)) is not None:
            node.read.data_source.paths[:] = [plain]
        return node

    def _lowered(self, parts: tuple[str, ...], current_database: str) -> tuple[str, ...] | None:
        """A name in lower case, if it has capitals and is a table's or a view's so."""
        lowered = tuple(part.lower() for part in parts)
        if lowered == parts:
            return None
        try:
            known = self._catalog.listing().has(self._catalog.qualify(lowered, current_database))
        except AnalysisError:
            return None
        return lowered if known else None

    def _known_case(self, text: str, current_database: str) -> str | None:
        """SQL text with its tables' names in the case in which the catalog has them; None if nothing changes."""
        if text == text.lower():
            return None
        edits = [
            Edit(reference.start, reference.end, quoted(lowered))
            for reference in table_references(text)
            if not reference.streaming and (lowered := self._lowered(reference.parts, current_database)) is not None
        ]
        return splice(text, edits) if edits else None

    @staticmethod
    def _plain(read: pb.Read) -> str | None:
        """Another path for a Delta table that the engine cannot find by its own."""
        source = read.data_source
        if source.format.lower() != "delta" or len(source.paths) != 1 or "://" in source.paths[0]:
            return None
        folder = local_path(source.paths[0])
        plain = plain_path(folder)
        return None if plain == folder else str(plain)

    def _feed(self, read: pb.Read, current_database: str, rows: bool) -> pb.Relation:
        wanted = plan_change_feed(read, self._catalog, current_database)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, wanted.schema) as writer:
            for batch in wanted.batches() if rows else ():
                writer.write_batch(batch)
                if sink.tell() > MAX_FEED_BYTES:
                    raise SparkGeneralError(
                        f"The change feed of {wanted.log.table} from version {wanted.start} to {wanted.end} is larger "
                        f"than {MAX_FEED_BYTES >> 20} MiB, more than one batch read can hand to the engine. Give "
                        "endingVersion, or read it as a stream."
                    )
        relation = pb.Relation()
        relation.local_relation.data = sink.getvalue().to_pybytes()
        relation.local_relation.schema = types.to_json(wanted.schema)
        return relation
