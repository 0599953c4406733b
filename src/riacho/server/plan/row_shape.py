"""How the rows that a streaming plan gives relate to those that it reads: what a count of both can be held against.

one for one                         project, watermark, union all: each row read comes out
but for those dropped by name       dropDuplicates and the like: the operator counts what it drops
but for those filtered              where, na.drop: some do not come out, and nobody counts them
otherwise                           aggregates, joins, explode, limit: no row is any row read
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import ParseError
from riacho.protos import pb
from riacho.server.plan.facts import is_streaming, is_streaming_leaf
from riacho.server.plan.from_sql.query import read_query
from riacho.server.plan.mentions import function_names
from riacho.server.plan.walk import children, expressions
from riacho.server.sql.pieces import UnknownSqlError

_KEEPING = frozenset(
    {"project", "with_columns", "with_columns_renamed", "drop", "to_df", "to_schema", "subquery_alias", "hint",
     "with_watermark", "collect_metrics", "repartition", "repartition_by_expression", "fill_na", "replace",
     "deduplicate"}
)  # fmt: skip
"""Relations that give a row for each row of their one input, but for those that they count as dropped."""
_FILTERING = frozenset({"filter", "drop_na"})
_GENERATORS = frozenset(
    {"EXPLODE", "EXPLODE_OUTER", "POSEXPLODE", "POSEXPLODE_OUTER", "INLINE", "INLINE_OUTER", "STACK",
     "VARIANT_EXPLODE", "VARIANT_EXPLODE_OUTER"}
)  # fmt: skip
"""Functions that make several rows of one, or none."""


@dataclass(frozen=True)
class RowShape:
    """What stands between the rows read and those given.

    `filtered`: some rows may not come out. `others`: what makes other rows of them, by name, sorted.
    """

    filtered: bool = False
    others: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether each row read comes out, unless an operator counts it as dropped."""
        return not self.filtered and not self.others


def row_shape(relation: pb.Relation) -> RowShape:
    """The shape of a streaming plan in its resolved form, `PlannedStream.resolved`. What is not known is `others`."""
    filtered = False
    others: set[str] = set()
    pending = [relation]
    while pending:
        node = pending.pop()
        kind = node.WhichOneof("rel_type") or "unknown"
        if is_streaming_leaf(node):
            continue
        if kind == "with_relations":
            read = _read(node.with_relations)
            if read is None:
                others.add("sql text")
            else:
                pending.append(read)
            continue
        if kind in _FILTERING:
            filtered = True
        elif kind == "set_op":
            if not _is_union_all(node.set_op):
                others.add("set operation")
        elif kind not in _KEEPING:
            others.add(kind.replace("_", " "))
        if any(not function_names(part).isdisjoint(_GENERATORS) for part in expressions(node)):
            others.add("explode")
        below = list(children(node))
        streams = [child for child in below if is_streaming(child)]
        if len(streams) < len(below):
            others.add(kind.replace("_", " "))
        pending += streams
    return RowShape(filtered, tuple(sorted(others)))


def _read(node: pb.WithRelations) -> pb.Relation | None:
    """SQL text and what stands beside it as one relation; None for text that is not understood."""
    if node.root.WhichOneof("rel_type") != "sql":
        return node.root
    beside = {each.subquery_alias.alias: each for each in node.references if each.HasField("subquery_alias")}
    try:
        return read_query(node.root.sql.query, beside)
    except (UnknownSqlError, ParseError):
        return None


def _is_union_all(operation: pb.SetOperation) -> bool:
    return operation.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and operation.is_all
