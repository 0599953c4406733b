"""Groupings whose groups are kept, so that only those that have new rows are computed.

    Project name, total / n                    Project name, total / n          ← run over all groups, as it stands
      Aggregate name, sum(x), count(1)           what is kept of each group     ← new rows are merged into it
        Filter …                                    ▲
          sales                                     Filter … (new rows of sales)

What is kept, and how it is merged, is what a stream keeps of its groups (`streaming.operators`). Only functions are
taken whose result is exactly the same however the rows are split: sums of floating-point numbers are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, Spool
from riacho.server.graph.views.added import ROW_BY_ROW
from riacho.server.graph.views.plan import NotFromChangesError, input_of
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.from_sql.grouping import AGGREGATES
from riacho.server.plan.restore_names import plan_ids_used, restore_names
from riacho.server.plan.rowwise import looks_around
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.plan.walk import Path, at, expressions, replace, walk, walk_paths
from riacho.server.state.store import BEGINNING
from riacho.server.streaming.operators.aggregate import Aggregation, Partials
from riacho.server.streaming.operators.calls import output_of, take_apart
from riacho.server.streaming.operators.grouping import Grouping, grouping_of
from riacho.server.streaming.operators.operator import BatchContext, OperatorTools
from riacho.server.streaming.sinks.base import OutputMode
from riacho.storage import Place

_EXACT: Final = frozenset(
    {"count", "count_if", "sum", "avg", "mean", "min", "max", "bool_and", "every", "bool_or", "some", "any", "bit_and",
     "bit_or", "bit_xor"}
)  # fmt: skip
_AVERAGES: Final = frozenset({"avg", "mean"})
_EXACT_DOUBLES: Final = 1 << 53
"""Up to this, a double has every whole number."""
_RETAIN: Final = 2
"""How many versions of the groups stay on disk: the one that the view was made of, and the one in the making."""


def kept_groupings(relation: pb.Relation) -> list[Path]:
    """Where the groupings stand whose groups can be kept, in a plan over inputs."""
    return [path for path, node in walk_paths(relation) if node.HasField("aggregate") and _can_be_kept(node.aggregate)]


def _can_be_kept(aggregate: pb.Aggregate) -> bool:
    if aggregate.group_type != pb.Aggregate.GROUP_TYPE_GROUPBY:
        return False
    if any(key.HasField("unresolved_star") for key in aggregate.grouping_expressions):
        return False
    if not any(input_of(node) is not None for node in walk(aggregate.input)):
        return False
    below = all(_adds_rows(node) for node in walk(aggregate.input))
    return below and all(map(_is_exact, aggregate.aggregate_expressions))


def _adds_rows(node: pb.Relation) -> bool:
    """Whether more rows below this node may mean nothing but more rows above it; see `added`."""
    kind = node.WhichOneof("rel_type") or ""
    if kind in ROW_BY_ROW:
        return not any(map(looks_around, expressions(node)))
    if kind == "set_op":
        return node.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and node.set_op.is_all
    return kind in ("join", "local_relation", "range") or input_of(node) is not None


def _is_exact(expression: pb.Expression) -> bool:
    inner = expression.alias.expr if expression.HasField("alias") else expression
    read = structured(inner, filters=True)
    for node in [read, *expressions(read)]:
        match node.WhichOneof("expr_type"):
            case "unresolved_function":
                function = node.unresolved_function
                name = function.function_name.lower()
                if name in AGGREGATES and (name not in _EXACT or function.is_distinct):
                    return False
            case "expression_string" | "call_function" | "window" | "subquery_expression":
                return False
            case _:
                pass
    return True


@dataclass(frozen=True)
class GroupTools:
    """What groups are computed with: the engine, and a place for rows on their way."""

    engine: EngineSession
    spool: Spool

    @property
    def operators(self) -> OperatorTools:
        return OperatorTools(self.engine, self.spool, _RETAIN)


@dataclass(frozen=True)
class GroupShape:
    """How the groups of one grouping are kept. It holds as long as the query and the columns below it do."""

    buffer: Partials
    grouping: Grouping

    @classmethod
    def of(cls, aggregate: pb.Aggregate, tools: GroupTools) -> GroupShape:
        """Of a grouping over tables, of which only the columns are asked for.

        Raises NotFromChangesError if its groups cannot be kept after all, which depends on the types.
        """
        operators = tools.operators
        output = output_of(aggregate, operators)
        exact = _with_exact_averages(aggregate, tools.engine)
        grouping = grouping_of(exact, output, {})
        calls = take_apart(exact, grouping, operators)
        if not calls.merge or not calls.any_order or any(partial.grows for partial in calls.partials):
            raise NotFromChangesError("it has aggregates that are computed from all rows of a group")
        buffer = (_Averaged if exact != aggregate else Partials)(exact, grouping, calls, output, operators)
        for field in buffer.schema:
            if not _is_exact_type(field.type):
                raise NotFromChangesError(
                    f"it groups by, or computes, values of type {types.to_ddl(pa.schema([field])).split(' ', 1)[-1]}, "
                    "whose results depend on how the rows are split"
                )
        return cls(buffer, grouping)


class KeptGroups:
    """The groups of one grouping, in `folder`. To be closed."""

    def __init__(self, shape: GroupShape, folder: Place, tools: GroupTools) -> None:
        self._folder = folder
        self._aggregation = Aggregation(shape.buffer, shape.grouping, OutputMode.UPDATE, folder, tools.operators)

    def restore(self, version: int, mark: str) -> None:
        """Take up the groups of a version. Raises SparkError, NotFromChangesError if they are not those marked so."""
        if version and self.mark(version) != mark:
            raise NotFromChangesError("its groups were written by somebody else")
        self._aggregation.restore(version)

    def mark(self, version: int) -> str:
        """What tells the groups of a version from others that were written in their place."""
        try:
            return (self._folder / "default" / f"{version}.json").read_text().partition("\n")[0]
        except OSError:
            return ""

    def take(self, version: int, rows: pb.Relation) -> None:
        """Make `version` of the groups that there are and new rows."""
        self._aggregation.run([rows], BatchContext(version, BEGINNING, BEGINNING, BatchTime(0)))

    def result(self) -> pb.Relation:
        """The columns of the grouping, for all groups. To be used before the tools' spool is cleared."""
        return self._aggregation.everything(BatchTime(0))

    def committed(self, version: int) -> None:
        self._aggregation.committed(version)

    def close(self) -> None:
        self._aggregation.close()


class _Averaged(Partials):
    """Groups of which averages of whole numbers are computed: as doubles, which have the sums exactly or not at all."""

    def finalize(self, kept: Iterable[pa.Table], tools: OperatorTools, time: BatchTime) -> pb.Relation:
        return super().finalize(map(_require_exact, kept), tools, time)


def _require_exact(groups: pa.Table) -> pa.Table:
    for column in groups.columns:
        largest = pc.max(pc.abs(column)).as_py() if pa.types.is_int64(column.type) else None
        if largest is not None and not -_EXACT_DOUBLES < largest < _EXACT_DOUBLES:
            raise NotFromChangesError("it averages whole numbers whose sum is too large to be exact")
    return groups


def with_results(relation: pb.Relation, results: Sequence[tuple[Path, pb.Relation]]) -> pb.Relation:
    """A copy of a plan with the results of groupings in place of these."""
    used = plan_ids_used(relation)
    copy = pb.Relation()
    copy.CopyFrom(relation)
    for path, result in results:
        node = at(copy, path)
        replace(node, restore_names(result, at(relation, path), used))
    return copy


def _with_exact_averages(aggregate: pb.Aggregate, engine: EngineSession) -> pb.Aggregate:
    """The aggregate with averages of whole numbers as their sum by their count, neither of which loses a digit.

    Raises NotFromChangesError for averages of decimals: the engine cuts digits off where `Partials` rounds, so the
    view would have one value when it is computed anew, and another when it is not.
    """
    copy = pb.Aggregate()
    copy.CopyFrom(aggregate)
    for expression in copy.aggregate_expressions:
        inner = expression.alias.expr if expression.HasField("alias") else expression
        read = structured(inner, filters=True)
        averages = list(_averages(read))
        for node in averages:
            [value] = node.unresolved_function.arguments
            kind = engine.schema(build.project(aggregate.input, [build.alias(value, "v")])).field(0).type
            if pa.types.is_integer(kind):
                total = build.cast(build.call("sum", build.cast(value, pa.int64())), pa.float64())
                count = build.cast(build.call("nullif", build.call("count", value), build.integer(0)), pa.float64())
                node.CopyFrom(build.call("/", total, count))
            elif pa.types.is_decimal(kind):
                raise NotFromChangesError("it averages decimals, which the engine does not round")
        if averages:
            inner.CopyFrom(read)
    return copy


def _averages(expression: pb.Expression) -> Iterator[pb.Expression]:
    for node in [expression, *expressions(expression)]:
        if node.unresolved_function.function_name.lower() in _AVERAGES:
            yield node


def _is_exact_type(kind: pa.DataType) -> bool:
    return not (pa.types.is_floating(kind) or pa.types.is_nested(kind))
