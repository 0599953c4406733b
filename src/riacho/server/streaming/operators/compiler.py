"""Cut a plan into fragments that the engine runs and the operators that keep state between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.engine.spool import empty
from riacho.server.plan import build
from riacho.server.plan.apart import Apart, apart
from riacho.server.plan.column_names import output_name
from riacho.server.plan.event_time import Delays, EventTimes
from riacho.server.plan.facts import is_streaming, is_streaming_leaf, kind_of, leaf_identity, leaf_places
from riacho.server.plan.pushdown import push_filters
from riacho.server.plan.restore_names import plan_ids_used, same, without_watermark
from riacho.server.plan.rules.aggregate_types import with_known_types
from riacho.server.plan.rules.batch_time import Times, find_times
from riacho.server.plan.rules.within_watermark import without_within_watermark
from riacho.server.plan.session_window import has_session_window, without_session_windows
from riacho.server.plan.usage import columns_used
from riacho.server.plan.walk import Path as PlanPath
from riacho.server.plan.walk import at, transform, walk, walk_paths
from riacho.server.streaming.operators.aggregate import aggregation
from riacho.server.streaming.operators.deduplicate import Deduplicate, Deduplication
from riacho.server.streaming.operators.event_columns import check_columns, check_keys
from riacho.server.streaming.operators.join import Join, side_states
from riacho.server.streaming.operators.late import Place as LatePlace
from riacho.server.streaming.operators.limit import Limit
from riacho.server.streaming.operators.operator import US_PER_MS, Operator, OperatorTools
from riacho.server.streaming.operators.session import session_aggregation
from riacho.server.streaming.sinks.base import OutputMode
from riacho.server.streaming.watermark import delay_ms
from riacho.storage import Place


@dataclass(frozen=True)
class LeafCut:
    """A source; `index` as in `BatchInput.leaves`."""

    index: int


@dataclass(frozen=True)
class WatchCut:
    """A `withWatermark`: rows pass, and the event times in `column` are noted. `original`: the plan there; `apart`: how
    rows stand in for it, where `restore_names` is not enough.
    """

    index: int
    column: str
    input: Fragment
    original: pb.Relation
    apart: Apart | None = None


@dataclass(frozen=True)
class StatefulCut:
    """A stateful operator; `index` is its number in the checkpoint and in progress. `original`: the plan there."""

    index: int
    operator: Operator
    inputs: Sequence[Fragment]
    original: pb.Relation


Cut = LeafCut | WatchCut | StatefulCut


@dataclass(frozen=True)
class Fragment:
    """A part of the plan. `cuts`: where its inputs stand in `relation`, and what they are."""

    relation: pb.Relation
    cuts: Sequence[tuple[PlanPath, Cut]]
    times: Times

    @property
    def is_bare(self) -> bool:
        """Whether this is a source and nothing else."""
        return len(self.cuts) == 1 and self.cuts[0][0] == () and isinstance(self.cuts[0][1], LeafCut)


Made = tuple[Operator, Sequence[PlanPath]]
"""An operator, and where its inputs stand below its node."""


class Compiler:
    """Cuts one plan. `leaf_schemas[i]`: the columns of leaf i; `state`: the folder of the operators' state."""

    def __init__(
        self, plan: pb.Relation, leaf_schemas: Sequence[pa.Schema], mode: OutputMode, state: Place, tools: OperatorTools
    ) -> None:
        self._mode = mode
        self._state = state
        self._tools = tools
        places = list(leaf_places(plan))
        self._empty_leaves = {leaf_identity(leaf.relation): empty(leaf_schemas[leaf.index]) for _, leaf in places}
        self._event_times = EventTimes(lambda relation: self._schema(relation).names)
        plan = transform(plan, self._simplified)
        plan = push_filters(plan, self._event_times.columns)
        self._plan = plan
        self._leaf_of = {path: leaf.index for path, leaf in leaf_places(plan)}
        self.used_ids = plan_ids_used(plan)
        self.delays_ms: list[int] = []
        self.operators: list[StatefulCut] = []
        self._operator_count = 0
        self.top = self._fragment(plan, ())

    def _fragment(self, relation: pb.Relation, place: PlanPath) -> Fragment:
        """Cut `relation`, which stands at `place` in the plan."""
        template = pb.Relation()
        template.CopyFrom(relation)
        times = find_times(template)
        cuts: list[tuple[PlanPath, Cut]] = []
        for path, node in walk_paths(template):
            if any(path[: len(cut)] == cut for cut, _ in cuts):
                continue
            cut = self._cut(node, (*place, *path))
            if cut is not None:
                cuts.append((path, cut))
        return Fragment(template, cuts, times)

    def _cut(self, node: pb.Relation, place: PlanPath) -> Cut | None:
        if is_streaming_leaf(node):
            return LeafCut(self._leaf_of[place])
        if not is_streaming(node):
            return None
        if node.WhichOneof("rel_type") == "with_watermark":
            return self._watch(node, place)
        kind = kind_of(node)
        if kind == "stateless" or (kind == "limit" and self._mode is OutputMode.COMPLETE):
            return None
        index = self._operator_count
        self._operator_count += 1
        operator, inputs = self._MAKERS[kind](self, node, place, self._state / str(index))
        fragments = [self._fragment(at(node, path), (*place, *path)) for path in inputs]
        operator.apart = self._apart(node)
        cut = StatefulCut(index, operator, fragments, _copy(node))
        self.operators.append(cut)
        return cut

    def _watch(self, node: pb.Relation, place: PlanPath) -> WatchCut:
        mark = node.with_watermark
        if any(below.HasField("with_watermark") and is_streaming(below) for below in walk(mark.input)):
            raise AnalysisError(
                "Redefining watermark is disallowed. You can set the config "
                "'spark.sql.streaming.statefulOperator.allowMultiple' to 'false' to restore the previous behavior. "
                "Note that multiple stateful operators will be disallowed.",
                condition="_LEGACY_ERROR_TEMP_3076",
            )
        index = len(self.delays_ms)
        self.delays_ms.append(delay_ms(mark.delay_threshold))
        input_ = self._fragment(mark.input, (*place, "with_watermark", "input"))
        return WatchCut(index, last_part(mark.event_time), input_, _copy(node), self._apart(node))

    def _apart(self, node: pb.Relation) -> Apart | None:
        """How rows stand in for a node that has the columns of its input."""
        return None if node.HasField("join") else apart(_copy(node), self.used_ids, self._event_times.columns)

    def _aggregate(self, node: pb.Relation, place: PlanPath, folder: Place) -> Made:  # noqa: ARG002
        marks = self._event_times.of(node)
        if self._mode is not OutputMode.COMPLETE:
            check_keys(node.aggregate.grouping_expressions, marks)
        if self._mode is OutputMode.APPEND and not any(
            map(marks.__contains__, map(output_name, node.aggregate.grouping_expressions))
        ):
            raise AnalysisError.of(
                "UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK",
                "Append output mode not supported for aggregations on streaming DataFrames/DataSets without watermark.",
                sql_state="0A000",
                outputMode="Append",
                statefulOperator="aggregations",
            )
        aggregate = pb.Aggregate()
        aggregate.CopyFrom(node.aggregate)
        aggregate.input.CopyFrom(self.analysable(node.aggregate.input))
        make = session_aggregation if has_session_window(aggregate) else aggregation
        return make(aggregate, marks, self._mode, folder, self._tools), [("aggregate", "input")]

    def _deduplicate(self, node: pb.Relation, place: PlanPath, folder: Place) -> Made:
        dedup = node.deduplicate
        schema = self._schema(dedup.input)
        names = [name.lower() for name in schema.names]
        wanted = {last_part(name) for name in dedup.column_names}
        keys = [i for i, name in enumerate(names) if not wanted or name in wanted]
        marks = self._event_times.of(dedup.input)
        used = self._used(marks, (*place, "deduplicate", "input"))
        check_columns([name for name in names if name in used], marks)
        places = [i for i, name in enumerate(names) if name in marks]
        marked = next((i for i in places if names[i] in used), next(iter(places), None))
        delay_us = None
        if dedup.within_watermark and marked is not None:
            delay_us = delay_ms(marks[names[marked]]) * US_PER_MS
        what = Deduplicate(keys, marked, delay_us)
        return Deduplication(what, schema, folder, self._tools), [("deduplicate", "input")]

    def _join(self, node: pb.Relation, place: PlanPath, folder: Place) -> Made:
        for side, relation in (("left", node.join.left), ("right", node.join.right)):
            marks = self._event_times.of(relation)
            check_columns(sorted(self._used(marks, (*place, "join", side))), marks)
        left, right = side_states(node.join, self.analysable, self._event_times, self._tools, self.used_ids)
        return Join(node.join, left, right, folder, self._tools, self.used_ids), [("join", "left"), ("join", "right")]

    def _limit(self, node: pb.Relation, place: PlanPath, folder: Place) -> Made:  # noqa: ARG002
        return Limit(node.limit.limit, folder, self._tools), [("limit", "input")]

    def _refuse(self, node: pb.Relation, place: PlanPath, folder: Place) -> Made:  # noqa: ARG002
        raise UnsupportedOperationError(f"riacho does not support a streaming {kind_of(node)} yet.")

    def _used(self, marks: Delays, place: PlanPath) -> frozenset[str]:
        """The columns surely used of the relation at `place`, asked only where it matters: where several are marked."""
        if len(marks) < 2:
            return frozenset(marks)
        return columns_used(self._plan, self._event_times.columns)[place].surely

    _MAKERS: dict[str, Callable[[Compiler, pb.Relation, PlanPath, Place], Made]] = {  # noqa: RUF012
        "aggregate": _aggregate,
        "deduplicate": _deduplicate,
        "join": _join,
        "limit": _limit,
        "group_state": _refuse,
    }

    def _simplified(self, node: pb.Relation) -> pb.Relation:
        """Without what means nothing here: watermarks on batches, `observe`. UNION DISTINCT and EXCEPT are grouping by
        all columns.
        """
        kind = node.WhichOneof("rel_type")
        if kind == "collect_metrics" or (kind == "with_watermark" and not is_streaming(node)):
            return without_watermark(node)
        if kind_of(node) != "distinct" or not is_streaming(node):
            return node
        every = _copy(node)
        if node.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION:
            every.set_op.is_all = True
        else:
            every = self._without(node.set_op)
        grouped = build.group(every, [build.col(name) for name in self._schema(every).names], [])
        if node.common.HasField("plan_id"):
            grouped.common.plan_id = node.common.plan_id
        return grouped

    def _without(self, node: pb.SetOperation) -> pb.Relation:
        """The rows of EXCEPT, each as often as it comes. Source: `ReplaceExceptWithAntiJoin`."""
        if node.is_all or node.set_op_type != pb.SetOperation.SET_OP_TYPE_EXCEPT:
            raise UnsupportedOperationError(
                "riacho does not run EXCEPT ALL and INTERSECT on a stream. Use a left anti or left semi join."
            )
        names = self._schema(node.left_input).names
        others = [f"_other{i}" for i in range(len(names))]
        same = [build.call("<=>", build.col(name), build.col(other)) for name, other in zip(names, others, strict=True)]
        right = pb.Relation(to_df=pb.ToDF(input=node.right_input, column_names=others))
        condition = reduce(lambda both, each: build.call("and", both, each), same)
        how = pb.Join.JOIN_TYPE_LEFT_ANTI
        return pb.Relation(join=pb.Join(left=node.left_input, right=right, join_type=how, join_condition=condition))

    def analysable(self, relation: pb.Relation) -> pb.Relation:
        """A part of the plan over empty leaves, without what the engine does not know, so that it can be analysed."""
        return transform(relation, self._known_to_engine)

    def _known_to_engine(self, node: pb.Relation) -> pb.Relation:
        if not is_streaming_leaf(node):
            return without_watermark(with_known_types(without_session_windows(without_within_watermark(node))))
        leaf = _copy(self._empty_leaves[leaf_identity(node)])
        if node.common.HasField("plan_id"):
            leaf.common.plan_id = node.common.plan_id
        return leaf

    def late_inputs(self) -> dict[LatePlace, pa.Schema]:
        """The columns at each place where rows can be late."""
        return {
            (cut.index, number): self._schema(cut.inputs[number].relation)
            for cut in self.operators
            for number in cut.operator.late_inputs
        }

    def _schema(self, relation: pb.Relation) -> pa.Schema:
        return types.normalise_schema(self._tools.session.schema(self.analysable(relation)))


def put(plan: pb.Relation, path: PlanPath, content: pb.Relation) -> None:
    """Put `content` at a place of a plan; the plan id that stands there stays, beside those of `content`."""
    place = at(plan, path)
    plan_id = place.common.plan_id if place.common.HasField("plan_id") else None
    own = content.common.plan_id if content.common.HasField("plan_id") else None
    place.CopyFrom(content if own is None or plan_id in (None, own) else same(content, None))
    if plan_id is not None:
        place.common.plan_id = plan_id


def _copy(relation: pb.Relation) -> pb.Relation:
    copy = pb.Relation()
    copy.CopyFrom(relation)
    return copy
