"""What a pipeline is made of: outputs, and flows that write to them. Plain values, as the user defined them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from riacho.protos import pb
from riacho.server.graph.cdc.definition import AutoCdc
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.streaming.quality import Expectation


class TableKind(StrEnum):
    """The two kinds of tables a pipeline keeps."""

    STREAMING_TABLE = "streaming table"
    MATERIALIZED_VIEW = "materialized view"


@dataclass(frozen=True)
class PipelineTable:
    """A streaming table (fed by streaming flows, grows) or a materialized view (one batch query, refreshed).

    `schema`: what the user declared, if anything. `format` None means the catalog's default. `expectations`: rules for
    the rows of all its flows. `quarantine_of`: the dataset whose quarantined rows it holds; its flows are that one's.
    """

    identifier: Identifier
    kind: TableKind
    schema: pa.Schema | None = None
    format: str | None = None
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    quarantine_of: Identifier | None = None

    @property
    def is_streaming(self) -> bool:
        """Whether it is a streaming table."""
        return self.kind is TableKind.STREAMING_TABLE


@dataclass(frozen=True)
class TemporaryView:
    """A view of this graph only, stored nowhere: its query takes its place wherever it is read."""

    identifier: Identifier
    comment: str | None = None


@dataclass(frozen=True)
class PersistedView:
    """A view that the run publishes in the catalog under its SQL `text`."""

    identifier: Identifier
    text: str
    scope: CurrentNamespace
    comment: str | None = None


@dataclass(frozen=True)
class PipelineSink:
    """A place outside the catalog that streaming flows write to."""

    identifier: Identifier
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


Output = PipelineTable | TemporaryView | PersistedView | PipelineSink


def type_name(output: Output) -> str:
    """The word for an output's type in Spark's PIPELINE_DUPLICATE_IDENTIFIERS."""
    match output:
        case PipelineTable():
            return "TABLE"
        case PipelineSink():
            return "SINK"
        case TemporaryView() | PersistedView():
            return "VIEW"


@dataclass(frozen=True)
class Flow:
    """A query that writes to `target`. The default flow of an output has the output's own name.

    `relation`: the query as the client sent it, names not yet resolved; `scope` says what unqualified names mean in it.
    `conf`: SQL confs of the graph and the flow's own, the latter winning. `once`: a batch query that writes its rows
    once in the life of its checkpoint. `expectations`: rules for its own rows. `cdc`: what becomes of the rows, if they
    are events that change others; `relation` is then the source as it is.
    """

    identifier: Identifier
    target: Identifier
    relation: pb.Relation
    scope: CurrentNamespace
    conf: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    expectations: tuple[Expectation, ...] = ()
    cdc: AutoCdc | None = None

    @property
    def is_default(self) -> bool:
        """Whether it was defined together with its output."""
        return self.identifier == self.target
