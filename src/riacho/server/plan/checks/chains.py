"""Chains of stateful operators: what one hands out late or twice, the next one would drop as late."""

from __future__ import annotations

from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan.checks.query import Query, is_aggregate
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.walk import children, walk

_LATE_CHAIN = (
    "Detected pattern of possible 'correctness' issue due to global watermark. The query contains stateful operation "
    'which can emit rows older than the current watermark plus allowed late record delay, which are "late rows" in '
    "downstream stateful operations and these rows can be discarded. Please refer the programming guide doc for more "
    "details. If you understand the possible risk of correctness issue and still need to run the query, you can "
    "disable this check by setting the config `spark.sql.streaming.statefulOperator.checkCorrectness.enabled` to false."
)


def check_chains(query: Query) -> None:
    """Raises AnalysisError if an operator that hands out rows late or twice feeds another that keeps state."""
    for node in query.nodes:
        if not (is_streaming(node) and _keeps_state(query, node)):
            continue
        below = (deeper for child in children(node) for deeper in walk(child))
        if any(_may_emit_late(query, deeper) for deeper in below) or (_is_pivot(node) and query.mode != "append"):
            raise refuse(_LATE_CHAIN, query.plan)


def _is_pivot(node: pb.Relation) -> bool:
    """A pivot is two aggregates, one above the other."""
    return node.aggregate.HasField("pivot")


def _keeps_state(query: Query, node: pb.Relation) -> bool:
    match node.WhichOneof("rel_type"):
        case "join":
            return is_streaming(node.join.left) and is_streaming(node.join.right)
        case "apply_in_pandas_with_state":
            return True
        case "group_map":
            return node.group_map.HasField("transform_with_state_info")
        case "deduplicate":
            marks = query.marks(node.deduplicate.input)
            keys = {last_part(name) for name in node.deduplicate.column_names}
            all_columns = node.deduplicate.all_columns_as_keys
            return node.deduplicate.within_watermark or bool(marks if all_columns else keys & set(marks))
        case _:
            return is_aggregate(node)


def _may_emit_late(query: Query, node: pb.Relation) -> bool:
    if not is_streaming(node):
        return False
    if node.WhichOneof("rel_type") == "apply_in_pandas_with_state":
        return node.apply_in_pandas_with_state.timeout_conf == "EventTimeTimeout"
    return is_aggregate(node) and query.mode != "append"
