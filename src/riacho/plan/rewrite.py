"""Turn the plan of a streaming query into a template, and the template into one batch plan per micro-batch.

    the client's plan ──RULES, once per query──► Template ──bind, once per batch──► a plan the engine can run

A rule is `rule(relation, context) -> relation`. To know what happens to a plan, read `RULES` from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from riacho.plan.facts import Leaf, is_streaming_leaf, leaf_identity, leaves
from riacho.plan.walk import Path, at, walk_paths
from riacho.protos import pb


@dataclass
class Context:
    """What rules need to know besides the plan, and what they found out."""


Rule = Callable[[pb.Relation, Context], pb.Relation]

RULES: tuple[Rule, ...] = ()


def rewrite(relation: pb.Relation, context: Context, rules: tuple[Rule, ...] = RULES) -> pb.Relation:
    """Apply each rule in order."""
    for rule in rules:
        relation = rule(relation, context)
    return relation


class Template:
    """A plan prepared once, so that binding a micro-batch to it is one copy.

    `leaves`: its sources, in the order of their index.
    """

    def __init__(self, relation: pb.Relation) -> None:
        self.leaves: list[Leaf] = leaves(relation)
        index_of = {leaf_identity(leaf.relation): leaf.index for leaf in self.leaves}
        self._places: list[tuple[Path, int]] = [
            (path, index_of[leaf_identity(node)]) for path, node in walk_paths(relation) if is_streaming_leaf(node)
        ]
        self._relation = pb.Relation()
        self._relation.CopyFrom(relation)

    def bind(self, replacements: Mapping[int, pb.Relation]) -> pb.Relation:
        """The plan with a batch relation in place of each source, by the source's index.

        The `plan_id` of a source stays, so that columns that were taken from its DataFrame still resolve.
        """
        bound = pb.Relation()
        bound.CopyFrom(self._relation)
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
