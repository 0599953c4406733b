"""A collection cut into ranges of `_id`, to be read side by side.

Every document has one `_id`, which is no array and does not change: ranges of it lose nothing and double nothing. In
MongoDB a comparison holds within one kind of types only, so a collection with `_id`s of several kinds is compared by
`$expr`, which has one order for all. The connector has several ways of cutting; here they differ in how large a range
is, and `SinglePartitionPartitioner` does not cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bson.decimal128 import Decimal128

from riacho.connectors.mongodb.options import PARTITIONERS, MongoOptions
from riacho.errors import IllegalArgumentError

if TYPE_CHECKING:
    from pymongo.collection import Collection

Stage = dict[str, Any]

SINGLE: Final = "SinglePartitionPartitioner"
_KNOWN: Final = (
    "AutoBucketPartitioner", "SamplePartitioner", "PaginateBySizePartitioner", "PaginateIntoPartitionsPartitioner",
    "ShardedPartitioner", SINGLE,
)  # fmt: skip
_ROW_BY_ROW: Final = frozenset({"$match", "$project", "$addFields", "$set", "$unset", "$replaceRoot", "$replaceWith"})
"""Stages that mean the same whether they see a whole collection or a part of it."""
_MEGABYTE: Final = 1_000_000
_MOST: Final = 64
_NUMBERS: Final = (int, float, Decimal128)


def ranges(collection: Collection[Any], options: MongoOptions, pipeline: Sequence[Stage]) -> list[Stage | None]:
    """The conditions of the ranges, for a `$match`; `[None]` for the whole. Raises what the driver raises, and
    IllegalArgumentError for options that make no sense.
    """
    given = options.options
    name = given.text("partitioner").rpartition(".")[2]
    if name.removeprefix("Mongo") not in _KNOWN:
        raise IllegalArgumentError(
            f"The partitioner {given.text('partitioner')!r} is not known; there are {PARTITIONERS} with "
            f"{', '.join(_KNOWN)}"
        )
    size = given.positive("partitioner.options.partition.size") or 64
    samples = given.positive("partitioner.options.samples.per.partition", 2) or 10
    most = given.positive("partitioner.options.max.number.of.partitions") or _MOST
    if name.endswith(SINGLE) or any(map(_needs_all, pipeline)):
        return [None]
    stats = _stats(collection)
    count, byte_size = int(stats.get("count", 0)), int(stats.get("size", 0))
    wanted = min(most, math.ceil(byte_size / (size * _MEGABYTE)))
    if name.endswith("PaginateIntoPartitionsPartitioner"):
        wanted = most
    wanted = min(wanted, count)
    if wanted < 2:
        return [None]
    found = list(
        collection.aggregate(
            [{"$sample": {"size": wanted * samples}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}],
            allowDiskUse=True,
        )
    )
    bounds = [found[len(found) * part // wanted]["_id"] for part in range(1, wanted)] if found else []
    return between(list(_distinct(bounds)), _is_of_one_kind(collection, bounds))


def _needs_all(stage: Stage) -> bool:
    """Whether a stage sees more than one document, or must be the first: what searches texts and places must."""
    (name,) = stage
    return name not in _ROW_BY_ROW or any(f"'{word}'" in repr(stage) for word in ("$text", "$near", "$nearSphere"))


def between(bounds: Sequence[Any], one_kind: bool) -> list[Stage | None]:
    """Conditions for what is below the first bound, between each two, and from the last on; all of it without any."""
    if not bounds:
        return [None]
    edges: list[tuple[Any, Any]] = [(None, bounds[0]), *pairwise(bounds), (bounds[-1], None)]
    return [_condition(low, high, one_kind) for low, high in edges]


def _condition(low: Any, high: Any, one_kind: bool) -> Stage:
    sides = {name: bound for name, bound in (("$gte", low), ("$lt", high)) if bound is not None}
    if one_kind:
        return {"_id": sides}
    return {"$expr": {"$and": [{name: ["$_id", {"$literal": bound}]} for name, bound in sides.items()]}}


def _stats(collection: Collection[Any]) -> Mapping[str, Any]:
    """How large a collection is; nothing for views and for what is not there."""
    from pymongo.errors import OperationFailure

    try:
        stats: Mapping[str, Any] = collection.database.command("collStats", collection.name)
    except OperationFailure:
        return {}
    return {} if "timeseries" in stats else stats


def _distinct(bounds: Sequence[Any]) -> list[Any]:
    return [bound for at, bound in enumerate(bounds) if not at or bound != bounds[at - 1]]


def _is_of_one_kind(collection: Collection[Any], bounds: Sequence[Any]) -> bool:
    """Whether all `_id`s are of one kind, within which they are compared: then the first and the last are."""
    ends = [next(iter(collection.find({}, {"_id": 1}).sort("_id", order).limit(1)), None) for order in (1, -1)]
    return len({kind_of(value) for value in [*bounds, *(end["_id"] for end in ends if end)]}) == 1


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, _NUMBERS) else type(value).__name__
