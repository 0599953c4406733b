"""Names and reads that the engine would get wrong, put right in plans and statements before it gets them.

* names in another case (`Bronze.Events`): the engine tells them apart, Spark does not;
* a change feed (`readChangeFeed`): the engine gives the table's rows; the plan gets the feed's rows instead.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, SparkGeneralError
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.catalog.change_feed import asks_for_changes, plan_change_feed
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import Surroundings
from riacho.server.plan.walk import Finder, transform
from riacho.server.sql.references import respelled
from riacho.server.sql.tokens import parse_identifier

MAX_FEED_BYTES = 100 << 20
"""The engine takes messages of up to 128 MiB, and the rows of a change feed go to it inside the plan."""

_READS = Finder(pb.Read)
_TEXTS = Finder(pb.SQL)


class CatalogReads:
    """A step of the preparation of plans, for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def step(self, relation: pb.Relation, surroundings: Surroundings) -> pb.Relation:
        """`relation` as the engine can run it; the same object if it can already.

        Without `surroundings.rows` a change feed is left empty, which is enough to analyse the plan. Raises what
        `plan_change_feed` raises, and SparkGeneralError for a feed too large for a plan.
        """
        names = _EngineNames(self._catalog, surroundings)
        reads = [read for read in _READS.nearest(relation) if not read.is_streaming]
        texts = list(_TEXTS.nearest(relation))
        if not any(self._is_odd(read, names) for read in reads) and not any(names.changes(text) for text in texts):
            return relation
        return transform(relation, lambda node: self._right(node, names, surroundings))

    def _is_odd(self, read: pb.Read, names: _EngineNames) -> bool:
        if asks_for_changes(read):
            return True
        if read.HasField("named_table"):
            return names.lowered(parse_identifier(read.named_table.unparsed_identifier)) is not None
        return False

    def _right(self, node: pb.Relation, names: _EngineNames, surroundings: Surroundings) -> pb.Relation:
        """A node of a copy of the plan, put right in place."""
        kind = node.WhichOneof("rel_type")
        if kind == "sql":
            node.sql.query = names.text(node.sql.query)
        if kind != "read" or node.read.is_streaming:
            return node
        if asks_for_changes(node.read):
            changed = self._feed(node.read, surroundings)
            changed.common.CopyFrom(node.common)
            return changed
        if node.read.HasField("named_table"):
            table = node.read.named_table
            lowered = names.lowered(parse_identifier(table.unparsed_identifier))
            table.unparsed_identifier = lowered or table.unparsed_identifier
        return node

    def _feed(self, read: pb.Read, surroundings: Surroundings) -> pb.Relation:
        wanted = plan_change_feed(read, self._catalog, surroundings.current_database, surroundings.session.zone)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, wanted.schema) as writer:
            for batch in wanted.batches() if surroundings.rows else ():
                writer.write_batch(batch)
                if sink.tell() > MAX_FEED_BYTES:
                    raise SparkGeneralError(
                        f"The change feed of {wanted.log.table} from version {wanted.start} to {wanted.end} is larger "
                        f"than {MAX_FEED_BYTES >> 20} MiB, the most that one batch read can pass to the engine. "
                        "Set endingVersion, or read it as a stream."
                    )
        relation = pb.Relation()
        relation.local_relation.data = sink.getvalue().to_pybytes()
        relation.local_relation.schema = types.to_json(wanted.schema)
        return relation


class _EngineNames:
    """Names as the engine has them: tables, views and databases are in lower case there."""

    def __init__(self, catalog: WarehouseCatalog, surroundings: Surroundings) -> None:
        self._catalog = catalog
        self._surroundings = surroundings

    def lowered(self, parts: tuple[str, ...]) -> str | None:
        """A name in lower case, if it has capitals and is a table's or a view's so."""
        lowered = tuple(part.lower() for part in parts)
        return quoted(lowered) if lowered != parts and self._is_known(lowered) else None

    def changes(self, text: pb.SQL) -> bool:
        return self.text(text.query) != text.query

    def text(self, text: str) -> str:
        """SQL text with the names in it lowered."""
        return text if text == text.lower() else respelled(text, self.lowered)

    def _is_known(self, lowered: tuple[str, ...]) -> bool:
        if ".".join(lowered) in self._surroundings.views:
            return True
        try:
            return self._catalog.listing().has(self._catalog.qualify(lowered, self._surroundings.current_database))
        except AnalysisError:
            return False
