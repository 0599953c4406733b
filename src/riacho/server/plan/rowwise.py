"""Whether a plan does the same to each row whatever the others are, so that a batch may be run in parts."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.facts import is_streaming_leaf
from riacho.server.plan.mentions import function_names
from riacho.server.plan.pushdown import NOT_DETERMINISTIC
from riacho.server.plan.rules.global_aggregates import is_aggregate
from riacho.server.plan.walk import expressions, walk

_ROW_BY_ROW = frozenset(
    {"project", "filter", "with_columns", "with_columns_renamed", "drop", "to_df", "to_schema", "subquery_alias",
     "hint", "drop_na", "fill_na", "replace"}
)  # fmt: skip
"""Relations with one input that make of each of its rows what they make of it alone."""

_COUNTING = frozenset(name.upper() for name in NOT_DETERMINISTIC - {"input_file_name"})
"""Functions that count rows, or draw numbers that would come again in the next part."""

_IN_TEXT = frozenset({"OVER", "SELECT"})
"""What text has in it that looks at other rows."""


def is_row_by_row(relation: pb.Relation) -> bool:
    """Whether the streaming plan `relation`, in its resolved form, is of that kind. What is not known is not."""
    return all(
        is_streaming_leaf(node)
        or (node.WhichOneof("rel_type") in _ROW_BY_ROW and not any(map(looks_around, expressions(node))))
        for node in walk(relation)
    )


def looks_around(part: pb.Expression) -> bool:
    """Whether this very expression, not those inside it, may be about more than its row."""
    return (
        part.WhichOneof("expr_type") in ("window", "subquery_expression")
        or is_aggregate(part)
        or not function_names(part).isdisjoint(_COUNTING | _IN_TEXT)
    )
