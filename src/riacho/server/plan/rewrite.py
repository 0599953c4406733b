"""Turn the plan of a streaming query into a template, and the template into one batch plan per micro-batch.

    the client's plan ──RULES, once per query──► Template ──bind, once per batch──► a plan the engine can run

A rule is `rule(relation, context) -> relation`. To know what happens to a plan, read `RULES` from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.facts import Leaf, leaf_identity, leaf_places
from riacho.server.plan.rules.aggregate_types import aggregate_types
from riacho.server.plan.rules.batch_time import BatchTime, find_times
from riacho.server.plan.rules.column_texts import column_texts
from riacho.server.plan.rules.global_aggregates import global_aggregates
from riacho.server.plan.rules.inline_views import inline_views
from riacho.server.plan.rules.metadata_columns import metadata_columns
from riacho.server.plan.rules.session_windows import session_windows
from riacho.server.plan.rules.sql_queries import sql_queries
from riacho.server.plan.rules.sql_streams import sql_streams
from riacho.server.plan.rules.strip_observations import strip_observations
from riacho.server.plan.rules.strip_watermark import strip_watermark
from riacho.server.plan.rules.within_watermark import within_watermark
from riacho.server.plan.walk import Path, at

Rule = Callable[[pb.Relation, Context], pb.Relation]

RESOLVE: tuple[Rule, ...] = (
    sql_streams,  # streams and views that SQL text reads become relations beside the text
    sql_queries,  # text that needs state becomes relations
    inline_views,  # names of views become their plans: from here on all leaves can be seen
    column_texts,  # columns and windows that are written as text become expressions
    global_aggregates,  # projections that aggregate become aggregations
)
"""Rules after which a plan shows what it reads. Checks and facts want plans in this form."""

PREPARE: tuple[Rule, ...] = (
    metadata_columns,  # _metadata becomes a column of the leaves
    strip_observations,  # observe and withWatermark are noted and taken out
    strip_watermark,
    within_watermark,  # a deduplication for streams alone becomes one that a batch plan may have
    session_windows,  # session windows become structs: a batch plan has none
    aggregate_types,  # aggregate functions that streams compute become others of their type
)
"""Rules that make a resolved plan one that the engine can run."""

RULES: tuple[Rule, ...] = (*RESOLVE, *PREPARE)


def rewrite(relation: pb.Relation, context: Context, rules: Sequence[Rule] = RULES) -> pb.Relation:
    """Apply each rule in order."""
    for rule in rules:
        relation = rule(relation, context)
    return relation


def prepare(relation: pb.Relation, context: Context) -> Template:
    """The template of a query's plan: all rules applied, ready to be bound."""
    return Template(rewrite(relation, context), context.metadata_leaves)


class Template:
    """A plan prepared once, so that binding a micro-batch to it is one copy.

    `leaves`: its sources, in the order of their index; those among `metadata_leaves` are marked `with_metadata`.
    """

    def __init__(self, relation: pb.Relation, metadata_leaves: Collection[bytes] = ()) -> None:
        self._relation = pb.Relation()
        self._relation.CopyFrom(relation)
        self._times = find_times(self._relation)
        self._places: list[tuple[Path, int]] = []
        self.leaves: list[Leaf] = []
        for path, leaf in leaf_places(self._relation):
            self._places.append((path, leaf.index))
            if leaf.index == len(self.leaves):
                marked = leaf_identity(leaf.relation) in metadata_leaves
                self.leaves.append(replace(leaf, with_metadata=marked))
            else:
                known = self.leaves[leaf.index]
                self.leaves[leaf.index] = replace(known, places=known.places + 1)

    @property
    def places(self) -> list[int]:
        """The index of the source at each place where one is read, in plan order."""
        return [index for _, index in self._places]

    def bind(self, replacements: Mapping[int, pb.Relation], time: BatchTime | None = None) -> pb.Relation:
        """The plan with a batch relation in place of each source, by the source's index.

        `time` is the batch's; without it the engine's clock tells the time. The `plan_id` of a source stays, so that
        columns that were taken from its DataFrame still resolve.
        """
        bound = pb.Relation()
        bound.CopyFrom(self._relation)
        if time is not None:
            self._times.fill(bound, time)
        for path, index in self._places:
            place = at(bound, path)
            has_id, plan_id = place.common.HasField("plan_id"), place.common.plan_id
            place.CopyFrom(replacements[index])
            if has_id:
                place.common.plan_id = plan_id
        return bound


def bind(relation: pb.Relation, replacements: Mapping[int, pb.Relation]) -> pb.Relation:
    """`Template(relation).bind(replacements)`, for a plan that is bound once, such as for analysis."""
    return Template(relation).bind(replacements)
