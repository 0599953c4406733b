"""A source without rows: it stands for a table that is not there yet, so that a stream over it can be analysed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.streaming.sources.base import SourceContext, SourceReader

FORMAT = "riacho-empty"


def leaf(schema: pa.Schema) -> pb.Relation:
    """The leaf of a plan that stands for a stream with the columns `schema`. It is for analysis only."""
    source = pb.Read.DataSource(format=FORMAT, schema=types.to_json(schema))
    return pb.Relation(read=pb.Read(data_source=source, is_streaming=True))


@dataclass(frozen=True)
class EmptySource:
    """What `leaf` means."""

    schema: pa.Schema
    name: str = "empty"
    has_metadata: bool = False

    @classmethod
    def of(cls, relation: pb.Relation) -> EmptySource | None:
        """The source of a leaf that `leaf` made; None for any other."""
        source = relation.read.data_source
        return cls(types.from_json(source.schema)) if source.format == FORMAT else None

    def open(self, context: SourceContext) -> SourceReader:
        """It is never run."""
        raise AssertionError(f"{context.query_id} runs a plan that was made for analysis")
