"""What a plan wants of what it reads: which columns, and which rows at most.

Without it a read gives all. The columns are those that the plan does not surely do without (`plan.usage`); the filters
are the conditions directly above the read (`plan.above_reads`) that can be said so. What is not understood is wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Final

import pyarrow as pa

from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.batch.read_filters import Pushed, ReadFilter, in_order, pushed
from riacho.server.plan import build
from riacho.server.plan.above_reads import Placed, conditions_above, leaves_below, limit_above
from riacho.server.plan.build import call
from riacho.server.plan.from_sql.expressions import conjuncts
from riacho.server.plan.from_sql.query import read_query
from riacho.server.plan.mentions import EVERY, Names
from riacho.server.plan.usage import columns_used
from riacho.server.plan.walk import Path, at, walk
from riacho.server.sql.pieces import UnknownSqlError
from riacho.zones import Zone


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one read. `limit`: so many rows will do, of those that meet all filters."""

    columns: Names = EVERY
    filters: Sequence[ReadFilter] = ()
    limit: int | None = None

    def of(self, schema: pa.Schema) -> pa.Schema:
        """The columns of `schema` that are wanted."""
        return pa.schema([column for column in schema if column.name in self.columns])


ALL: Final = Wanted()


@dataclass(frozen=True)
class PlacedRead:
    """A read in a plan, what is wanted of it, and the conditions that its filters were made of."""

    place: Path
    read: pb.Relation
    wanted: Wanted
    said: Sequence[Pushed] = field(default_factory=list)


def reads_of(
    plan: pb.Relation,
    is_read: Callable[[pb.Relation], bool],
    schema: Callable[[pb.Relation], pa.Schema],
    zone: Zone,
    *,
    pushes: bool = True,
) -> list[PlacedRead]:
    """The reads of a plan. `schema`: the columns of one. Unless it `pushes`, all of each is wanted."""
    if not pushes:
        return [PlacedRead(leaf.place, leaf.node, ALL) for leaf in leaves_below(plan, is_read)]
    used = columns_used(plan)
    in_text = _leaves_of_texts(plan, is_read)
    found = []
    for leaf in leaves_below(plan, is_read):
        columns = schema(leaf.node)
        said = pushed(conditions_above(leaf, columns), zone)
        whole = in_text.get(_key(leaf.node))
        meant = said if whole is None else pushed(conditions_above(whole, columns), zone)
        clear = len({name.lower() for name in columns.names}) == len(columns)
        names = used[leaf.place].perhaps if clear else EVERY
        wanted = Wanted(names, tuple(in_order(meant)), _limit(whole or leaf, meant))
        found.append(PlacedRead(leaf.place, leaf.node, wanted, said))
    return found


def _limit(read: Placed, said: Sequence[Pushed]) -> int | None:
    """How many rows are wanted, if the filters below that limit are all among those that the read is given."""
    limit = limit_above(read)
    if limit is None:
        return None
    known = Counter(each.condition.place for each in said if each.whole)
    given = {each.condition.place for each in said if known[each.condition.place] == each.condition.of}
    return limit.rows if given == limit.filters else None


def _leaves_of_texts(plan: pb.Relation, is_read: Callable[[pb.Relation], bool]) -> dict[bytes, Placed]:
    """The reads beside SQL texts as they stand in the relations that the texts mean; those that stand there once."""
    every = Counter(_key(leaf.node) for leaf in leaves_below(plan, is_read))
    found: dict[bytes, Placed] = {}
    for node in walk(plan):
        root = node.with_relations.root
        if not node.HasField("with_relations") or not root.HasField("sql") or root.sql.query == "":
            continue
        named = {each.subquery_alias.alias: each for each in node.with_relations.references}
        try:
            meant = list(leaves_below(read_query(root.sql.query, named), is_read))
        except (UnknownSqlError, SparkError):
            continue
        there = Counter(_key(leaf.node) for leaf in meant)
        found |= {key: leaf for leaf in meant if there[key := _key(leaf.node)] == every[key] == 1}
    return found


def _key(leaf: pb.Relation) -> bytes:
    return leaf.read.SerializeToString(deterministic=True)


def without_done(plan: pb.Relation, read: PlacedRead, done: frozenset[int]) -> None:
    """Take filters out of a plan, in place, that a read does: `done` are numbers of its `wanted.filters`.

    Of the conditions that a filter joins by AND, those go that the read does all of, but perhaps for what may not be
    null.
    """
    gone: dict[Path, dict[bytes, Sequence[pb.Expression]]] = {}
    for each in read.said:
        left = [(made, column) for made, column in each.filters if read.wanted.filters.index(made) not in done]
        if each.whole and all(made.name == "IsNotNull" for made, _ in left):
            gone.setdefault(each.condition.place, {})[_bytes(each.condition.expression)] = [
                call("isnotnull", column) for _, column in left
            ]
    for place, instead in gone.items():
        node = at(plan, place)
        parts = conjuncts(node.filter.condition)
        kept = [new for part in parts for new in instead.get(_bytes(part), [part])]
        rest = list({_bytes(part): part for part in kept}.values()) or [build.boolean(True)]
        # The node stays: others may name its columns by its id.
        node.filter.condition.CopyFrom(reduce(partial(call, "and"), rest))


def _bytes(expression: pb.Expression) -> bytes:
    return expression.SerializeToString(deterministic=True)
