"""Sorts the rows of `describe` and `summary`, which the engine returns in any order, into the requested order."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan import build

KINDS = ("describe", "summary")
TAGS = tuple(pb.Relation.DESCRIPTOR.fields_by_name[kind].number << 3 | 2 for kind in KINDS)
"""The bytes that such a node begins with in a serialized plan."""

_DESCRIBED = ("count", "mean", "stddev", "min", "max")
_SUMMED_UP = ("count", "mean", "stddev", "min", "25%", "50%", "75%", "max")


def in_order(node: pb.Relation) -> pb.Relation:
    """The node's rows, sorted by the position of their statistic in the requested list."""
    asked = _DESCRIBED if node.HasField("describe") else tuple(node.summary.statistics) or _SUMMED_UP
    place = build.call("array_position", build.call("array", *map(build.text, asked)), build.col("summary"))
    order = pb.Expression.SortOrder(
        child=place,
        direction=pb.Expression.SortOrder.SORT_DIRECTION_ASCENDING,
        null_ordering=pb.Expression.SortOrder.SORT_NULLS_LAST,
    )
    return pb.Relation(common=node.common, sort=pb.Sort(input=node, order=[order], is_global=True))
