"""Rows that stand in for a join, so that its columns are still told apart.

    Join a.k = b.k                               Drop the numbers
      SubqueryAlias a                              Join by the number of the row
        …                      one table             SubqueryAlias a
      SubqueryAlias b         ──────────►               Project its columns, the number
        …                                            SubqueryAlias b
                                                        Project its columns, the number

When the result of a join is computed first and then read back, it is one table. What is above may still ask for `a.k`
and `b.k`, or for `df.k`: only a join has such columns. So the table is taken apart at the seam and put together again
by the numbers of its rows, which costs a hash join of what a batch touches. All others: `restore_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.event_time import ColumnNames
from riacho.server.plan.restore_names import SAME_NAMES, restore_names, same
from riacho.server.plan.walk import children, walk

NUMBER = pa.field("_riacho_row", pa.int64())
"""The number of a row, a column behind all others."""

_ONE_SIDED = frozenset({pb.Join.JOIN_TYPE_LEFT_SEMI, pb.Join.JOIN_TYPE_LEFT_ANTI})


@dataclass(frozen=True)
class Apart:
    """How a table stands in for `original`, whose columns are called `names`.

    `stored`: what they are called in the table, each otherwise. `used`: see `plan_ids_used`.
    """

    original: pb.Relation
    names: Sequence[str]
    stored: Sequence[str]
    used: frozenset[int]
    columns: ColumnNames

    def stand_in(self, table: pa.Table, read: Callable[[pa.Table], pb.Relation]) -> pb.Relation:
        """The original's columns, of a table that has them as they are."""
        [numbered] = self.numbered(iter([table.rename_columns(list(self.stored))]))
        return self.dressed(read(numbered), [])

    def numbered(self, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The parts of the table with the numbers of their rows."""
        start = 0
        for part in parts:
            stop = start + part.num_rows
            yield part.append_column(NUMBER, pa.array(range(start, stop), NUMBER.type))
            start = stop

    def dressed(self, rows: pb.Relation, further: Sequence[str]) -> pb.Relation:
        """The original's columns, of `rows` that have the stored ones, `further` ones, which stay, and the number."""
        made, number = self._made(self.original, rows, 0, len(self.names), further)
        return build.drop(made, [number])

    def _made(
        self, node: pb.Relation, rows: pb.Relation, start: int, stop: int, further: Sequence[str]
    ) -> tuple[pb.Relation, str]:
        """`node`, whose columns are those from `start` to `stop`, and the name of its number."""
        kind = node.WhichOneof("rel_type") or ""
        if kind in SAME_NAMES or kind == "subquery_alias":
            [child] = children(node)
            made, number = self._made(child, rows, start, stop, further)
            if kind == "subquery_alias":
                made = pb.Relation(subquery_alias=pb.SubqueryAlias(input=made, alias=node.subquery_alias.alias))
        elif kind == "join" and not node.join.using_columns:
            if node.join.join_type in _ONE_SIDED:
                made, number = self._made(node.join.left, rows, start, stop, further)
            else:
                made, number = self._joined(node.join, rows, start, stop, further)
        else:
            number = f"{NUMBER.name}_{start}"
            pairs = list(zip(self.stored, self.names, strict=True))[start:stop]
            columns = [build.alias(build.col(stored), name) for stored, name in pairs]
            columns += [build.col(name) for name in further]
            made = build.project(rows, [*columns, build.alias(build.col(NUMBER.name), number)])
            return restore_names(made, node, self.used), number
        if node.common.HasField("plan_id") and node.common.plan_id in self.used:
            made = same(made, node.common.plan_id)
        return made, number

    def _joined(
        self, join: pb.Join, rows: pb.Relation, start: int, stop: int, further: Sequence[str]
    ) -> tuple[pb.Relation, str]:
        seam = start + len(self.columns(join.left))
        left, number = self._made(join.left, rows, start, seam, further)
        right, other = self._made(join.right, rows, seam, stop, [])
        condition = build.call("==", build.col(number), build.col(other))
        inner = pb.Join(left=left, right=right, join_type=pb.Join.JOIN_TYPE_INNER, join_condition=condition)
        return build.drop(pb.Relation(join=inner), [other]), number


def apart(original: pb.Relation, used: frozenset[int], columns: ColumnNames) -> Apart | None:
    """How a table stands in for a relation; None if `restore_names` will do, or nothing does."""
    node = original
    while (kind := node.WhichOneof("rel_type")) in SAME_NAMES or kind == "subquery_alias":
        [node] = children(node)
    if kind != "join":
        return None
    names = columns(original)
    alike = len({name.lower() for name in names}) < len(names)
    if not alike and not any(below.HasField("subquery_alias") for below in walk(node)):
        return None
    return Apart(original, names, [f"_column{i}" for i in range(len(names))] if alike else names, used, columns)
