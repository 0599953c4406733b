"""A batch query as a stream that ends: all its rows are there once, in the first batch.

So a query that is to be written once has what every stream has: a checkpoint that says whether it was, and sinks that
take a batch exactly once, whatever kills the server meanwhile. The query is run when its batch is read; a batch that is
run again after a crash has the rows that the query gives then, and none of the first attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from riacho.ids import Offset
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.types import nullable

FORMAT = "riacho-once"
_END = Offset("1")


def leaf() -> pb.Relation:
    """The plan that reads nothing but the query: what is started, with `OnceSource` as its source."""
    return pb.Relation(read=pb.Read(data_source=pb.Read.DataSource(format=FORMAT), is_streaming=True))


@dataclass(frozen=True)
class OnceSource:
    """The rows of `relation`, a batch query that `session` can run, which has the columns `schema`."""

    relation: pb.Relation
    session: EngineSession
    schema: pa.Schema
    name: str = "once"
    has_metadata: bool = False

    @classmethod
    def of(cls, relation: pb.Relation, session: EngineSession) -> OnceSource:
        """Raises what analysing the query raises."""
        return cls(relation, session, nullable(session.schema(relation)))

    def open(self, context: SourceContext) -> OnceReader:
        return OnceReader(self, context.session)


class OnceReader:
    """See `sources.base.SourceReader`. `session`: the one of the query's run, which outlives the source's own."""

    description = "OnceFlow"

    def __init__(self, source: OnceSource, session: EngineSession) -> None:
        self._source = source
        self._session = session

    def prepare_available_now(self) -> None:
        """There is one batch."""

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset:  # noqa: ARG002 - it has no limits
        return _END

    def read(self, start: Offset | None, end: Offset) -> SourceData:  # noqa: ARG002 - there is one batch
        schema = self._source.schema
        # What is sent to the session of a run is prepared already: a plan of pieces that run by themselves.
        relation = self._session.prepared(self._source.relation)
        batches = (batch.cast(schema) for batch in self._session.stream(relation))
        return SourceData(schema, batches)

    def commit(self, end: Offset) -> None:
        """Nothing is kept."""

    def latest(self) -> Offset | None:
        return _END

    def stop(self) -> None:
        """Nothing is open."""
