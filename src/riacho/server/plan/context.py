"""What rewrite rules are told besides the plan, and what they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from riacho.protos import pb
from riacho.server.plan.facts import is_streaming_leaf
from riacho.server.plan.formats import short_name

FILE_FORMATS = frozenset({"avro", "binaryfile", "cloudfiles", "csv", "json", "orc", "parquet", "text", "xml"})
"""Formats, in lower case, whose streaming reads know which file a row came from."""


def is_file_leaf(relation: pb.Relation) -> bool:
    """Whether this node is a streaming read of a file format."""
    return is_streaming_leaf(relation) and short_name(relation.read.data_source.format) in FILE_FORMATS


@dataclass(frozen=True)
class EventTimeMark:
    """A `withWatermark` that was taken out of the plan.

    `input`: the relation whose rows it watches, without streaming marks itself. `event_time`: the column's name there,
    as the client wrote it. `delay`: the interval's text.
    """

    input: pb.Relation
    event_time: str
    delay: str


@dataclass(frozen=True)
class Observation:
    """A `DataFrame.observe` that was taken out of the plan: `metrics` are aggregates over the rows of `input`."""

    input: pb.Relation
    name: str
    metrics: list[pb.Expression]


@dataclass
class Context:
    """One run of the rules over one plan.

    Told: `views`, the temporary views that only riacho knows, by lower-case name, themselves already rewritten;
    `has_metadata`, whether a streaming leaf can give `_metadata` (for tables only the catalog knows).
    Reported: `watermarks` and `observations` in plan order; `metadata_leaves`, the identities (see
    `facts.leaf_identity`) of the leaves that must bring `_metadata` along.
    """

    views: Mapping[str, pb.Relation] = field(default_factory=dict)
    has_metadata: Callable[[pb.Relation], bool] = is_file_leaf
    watermarks: list[EventTimeMark] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    metadata_leaves: set[bytes] = field(default_factory=set)
    _given: int = 0

    def new_reference(self, relation: pb.Relation) -> pb.Relation:
        """`relation` under a name, and with a plan id, that nothing else in the plan has."""
        self._given += 1
        named = pb.Relation(subquery_alias=pb.SubqueryAlias(input=relation, alias=f"__riacho_{self._given}"))
        named.common.plan_id = _PLAN_IDS + self._given
        return named


_PLAN_IDS = 1 << 48
"""Clients count their plan ids from 0; from here on they are ours."""
