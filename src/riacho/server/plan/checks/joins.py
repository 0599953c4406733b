"""Which joins Spark refuses on streams, by type, sides and output mode."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.checks.query import Query
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.join_condition import Side, bounded, keys_have_event_time, read_condition

Join = pb.Join

_JOIN_NAMES = {
    Join.JOIN_TYPE_INNER: "Inner",
    Join.JOIN_TYPE_CROSS: "Cross",
    Join.JOIN_TYPE_FULL_OUTER: "FullOuter",
    Join.JOIN_TYPE_LEFT_OUTER: "LeftOuter",
    Join.JOIN_TYPE_RIGHT_OUTER: "RightOuter",
    Join.JOIN_TYPE_LEFT_SEMI: "LeftSemi",
    Join.JOIN_TYPE_LEFT_ANTI: "LeftAnti",
}
_INNER = (Join.JOIN_TYPE_INNER, Join.JOIN_TYPE_CROSS)


def check_join(query: Query, node: pb.Relation) -> None:
    """Raises AnalysisError for a join that Spark rejects on streams."""
    join = node.join
    left, right, how = is_streaming(join.left), is_streaming(join.right), join.join_type
    name = _JOIN_NAMES.get(how, "Inner")
    if left and right:
        _stream_stream_mode(query, node)
    match how:
        case Join.JOIN_TYPE_FULL_OUTER if left != right:
            stream, static = ("left", "right") if left else ("right", "left")
            raise refuse(
                f"FullOuter joins with streaming DataFrames/Datasets on the {stream} and a static DataFrame/Dataset on "
                f"the {static} is not supported",
                node,
            )
        case Join.JOIN_TYPE_LEFT_ANTI if right:
            raise refuse(f"{name} joins with a streaming DataFrame/Dataset on the right are not supported", node)
        case Join.JOIN_TYPE_LEFT_OUTER | Join.JOIN_TYPE_LEFT_SEMI if right and not left:
            raise refuse(
                f"{name} join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the "
                "left is not supported",
                node,
            )
        case Join.JOIN_TYPE_RIGHT_OUTER if left and not right:
            raise refuse(
                "RightOuter join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet on the "
                "right not supported",
                node,
            )
    if left and right and how not in _INNER and not _forgets(query, join):
        raise refuse(
            f"Stream-stream {name} join between two streaming DataFrame/Datasets is not supported without a watermark "
            "in the join keys, or a watermark on the nullable side and an appropriate range condition",
            node,
        )


def _stream_stream_mode(query: Query, node: pb.Relation) -> None:
    """Matches can be handed out in update mode too, rows without a match cannot: they may get one later."""
    how = node.join.join_type
    name = _JOIN_NAMES.get(how, "Inner")
    updates = how in (*_INNER, Join.JOIN_TYPE_LEFT_SEMI, Join.JOIN_TYPE_LEFT_ANTI)
    if query.mode == "append" or (query.mode == "update" and updates):
        return
    allowed = "Append and Update output modes" if updates else "Append output mode"
    raise refuse(
        f"{name} join between two streaming DataFrames/Datasets is not supported in {query.mode.capitalize()} output "
        f"mode, only in {allowed}",
        node,
    )


def _forgets(query: Query, join: pb.Join) -> bool:
    """Whether a row without a match is given up one day, so that it can be handed out with nulls."""
    condition = read_condition(join, query.columns)
    if keys_have_event_time(join, condition, query.event_times):
        return True
    left = bounded(condition, Side.LEFT, query.marks(join.right))
    right = bounded(condition, Side.RIGHT, query.marks(join.left))
    match join.join_type:
        case Join.JOIN_TYPE_RIGHT_OUTER:
            return right
        case Join.JOIN_TYPE_FULL_OUTER:
            return left or right
        case _:
            return left
