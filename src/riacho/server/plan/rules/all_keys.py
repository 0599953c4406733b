"""A grouping by all columns → a grouping by each of them.

    before                          after
    Aggregate *                     Aggregate a, b
      Read (streaming) a, b           Read (streaming) a, b

`SELECT DISTINCT *` is read so (see `from_sql.query`), where the columns are not known yet.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.walk import transform


def all_keys(relation: pb.Relation, columns: Callable[[pb.Relation], pa.Schema]) -> pb.Relation:
    """Apply the rule. `columns`: of a relation. Where some are called alike, rows are deduplicated instead."""

    def change(node: pb.Relation) -> pb.Relation:
        if not any(key.HasField("unresolved_star") for key in node.aggregate.grouping_expressions):
            return node
        names = columns(node.aggregate.input).names
        if len({name.lower() for name in names}) < len(names):
            every = pb.Deduplicate(input=node.aggregate.input, all_columns_as_keys=True)
            changed = pb.Relation(deduplicate=every)
        else:
            changed = build.group(node.aggregate.input, [build.col(name) for name in names], [])
        changed.common.CopyFrom(node.common)
        return changed

    return transform(relation, change)
