"""The query that checks look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from riacho.protos import pb
from riacho.server.plan.event_time import Delays, EventTimes
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.walk import walk

_AGGREGATES = frozenset({"aggregate", "describe", "summary", "crosstab"})


@dataclass(frozen=True)
class Query:
    """A plan to be checked, resolved (see `rewrite.RESOLVE`), and the output mode: append, update or complete.

    `columns`: the names of a relation's columns. `check_chains`: the conf
    `spark.sql.streaming.statefulOperator.checkCorrectness.enabled`.
    """

    plan: pb.Relation
    mode: str
    columns: Callable[[pb.Relation], list[str]]
    check_chains: bool = True

    @cached_property
    def event_times(self) -> EventTimes:
        return EventTimes(self.columns)

    @cached_property
    def nodes(self) -> list[pb.Relation]:
        """All nodes, parents first."""
        return list(walk(self.plan))

    @cached_property
    def aggregates(self) -> list[pb.Relation]:
        """The streaming aggregates, uppermost first."""
        return [node for node in self.nodes if is_aggregate(node) and is_streaming(node)]

    def marks(self, relation: pb.Relation) -> Delays:
        """The columns of `relation` that carry a watermark."""
        return self.event_times.of(relation)


def is_aggregate(node: pb.Relation) -> bool:
    """Whether Spark plans this node as an Aggregate or a Distinct."""
    kind = node.WhichOneof("rel_type")
    if kind == "set_op":
        return node.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and not node.set_op.is_all
    return kind in _AGGREGATES
