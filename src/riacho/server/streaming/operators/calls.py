"""The aggregate expressions of a query taken apart into partials and what is made of them.

    sum(v) / count(*) + 1      partials  sum(v), count(1)      result  _shown0 / _shown1 + 1

See `partials` for single functions. An expression that hides what it does, such as a Python function over a group, is
one partial that cannot be merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.rules.aggregate_types import with_known_types
from riacho.server.plan.rules.global_aggregates import GROUPED_UDFS
from riacho.server.plan.walk import at, expression_paths
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.grouping import Grouping
from riacho.server.streaming.operators.operator import OperatorTools
from riacho.server.streaming.operators.partials import AGGREGATES, ArrayFunction, Partial, decompose, opaque


def output_of(aggregate: pb.Aggregate, tools: OperatorTools) -> pa.Schema:
    """The columns of an aggregate over leaves that can be analysed."""
    whole = pb.Relation()
    whole.aggregate.CopyFrom(aggregate)
    return types.normalise_schema(tools.session.schema(with_known_types(whole)))


@dataclass(frozen=True)
class Calls:
    """Aggregate expressions taken apart.

    `partials`: what the engine computes of a batch; `aliased`: the same, as expressions that are prepared for it.
    `shown`: columns made of them, each from one partial. `results`: expressions over the columns shown.
    """

    partials: Sequence[Partial]
    aliased: Sequence[Expression]
    shown: Sequence[tuple[int, ArrayFunction]]
    results: Sequence[Expression]

    @property
    def columns(self) -> list[str]:
        return [_partial(index) for index in range(len(self.partials))]

    @property
    def merge(self) -> bool:
        """Whether all of them can be merged, so that they may stand for the rows."""
        return all(partial.merge is not None for partial in self.partials)

    @property
    def any_order(self) -> bool:
        """Whether the order of rows makes no difference to what is kept."""
        return not any(partial.ordered for partial in self.partials)

    def merged(self, state: Sequence[pa.Array], batch: Sequence[pa.Array], known: Mask) -> list[pa.Array]:
        """Two sets of partials made one; see `partials.model.Merge`."""
        merged = []
        for partial, old, new in zip(self.partials, state, batch, strict=True):
            assert partial.merge is not None
            merged.append(partial.merge(old, new, known))
        return merged

    def updated(self, table: pa.Table) -> pa.Table:
        """The columns that the engine computed, turned into what is kept."""
        for partial, name in zip(self.partials, self.columns, strict=True):
            column = partial.update(one_array(table.column(name)))
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    def finalized(self, table: pa.Table) -> pa.Table:
        """The table with its partials finalized: replaced by the columns that the results are computed from."""
        for index, (place, finalize) in enumerate(self.shown):
            table = table.append_column(_shown(index), finalize(one_array(table.column(self.columns[place]))))
        return table.drop_columns(self.columns)


def _partial(index: int) -> str:
    return f"_partial{index}"


def _shown(index: int) -> str:
    return f"_shown{index}"


class _Taken:
    """Collects the partials of an aggregate, each once."""

    def __init__(self) -> None:
        self._partials: dict[object, Partial] = {}
        self._shown: dict[object, tuple[int, ArrayFunction]] = {}

    def column(self, partial: Partial) -> Expression:
        """The column in which the partial is shown."""
        self._partials.setdefault(partial.identity, partial)
        place = list(self._partials).index(partial.identity)
        key = (place, partial.finalize)
        self._shown.setdefault(key, key)
        return build.col(_shown(list(self._shown).index(key)))

    def calls(self, results: Sequence[Expression], rows: pb.Relation, tools: OperatorTools) -> Calls:
        """What was taken of an aggregate over `rows`."""
        partials = list(self._partials.values())
        named = [build.alias(partial.expression, _partial(index)) for index, partial in enumerate(partials)]
        prepared = tools.session.prepared(build.group(rows, [], named), rows=False)
        return Calls(partials, list(prepared.aggregate.aggregate_expressions), list(self._shown.values()), results)


def take_apart(aggregate: pb.Aggregate, grouping: Grouping, tools: OperatorTools) -> Calls:
    """The aggregate's expressions as partials and results. What cannot be taken apart is a partial without merge."""
    read = [structured(_unaliased(expression), filters=True) for expression in aggregate.aggregate_expressions]
    expressions = [_over_sets(expression, grouping) for expression in read]
    places = [_aggregate_calls(expression, grouping) for expression in expressions]
    functions = [build.alias(Expression(unresolved_function=f), "c") for calls in places for _, f in calls or []]
    results = iter(output_of(build.group(aggregate.input, [], functions).aggregate, tools).types if functions else [])
    taken = _Taken()
    for index, calls in enumerate(places):
        if calls is None:
            expressions[index] = taken.column(opaque(expressions[index]))
            continue
        for path, function in calls:
            apart = decompose(function, next(results))
            finished = apart.evaluate([taken.column(partial) for partial in apart.partials])
            if path:
                at(expressions[index], path).CopyFrom(finished)
            else:
                expressions[index] = finished
    return taken.calls(expressions, aggregate.input, tools)


def _over_sets(expression: Expression, grouping: Grouping) -> Expression:
    """The expression with `grouping` and `grouping_id` made expressions over the number of the grouping set."""
    for node in [expression, *(found for _, found in expression_paths(expression))]:
        function = node.unresolved_function
        match function.function_name.lower():
            case "grouping":
                value = grouping.is_left_out(function.arguments[0])
            case "grouping_id":
                value = grouping.set_number
            case _:
                continue
        if value is not None:
            node.CopyFrom(value)
    return expression


def _aggregate_calls(
    expression: Expression, grouping: Grouping
) -> list[tuple[tuple[str | int, ...], Expression.UnresolvedFunction]] | None:
    """The aggregate functions in an expression, with their places; None if it has a part that hides what it does."""
    calls: list[tuple[tuple[str | int, ...], Expression.UnresolvedFunction]] = []
    nodes = [((), expression), *expression_paths(expression)]
    for path, node in nodes:
        if any(path[: len(inside)] == inside for inside, _ in calls):
            continue
        match node.WhichOneof("expr_type"):
            case "unresolved_attribute" if node == grouping.set_number:
                pass
            case "unresolved_function" if node.unresolved_function.function_name.lower() in AGGREGATES:
                function = Expression.UnresolvedFunction()
                function.CopyFrom(node.unresolved_function)
                calls.append((path, function))
            case "common_inline_user_defined_function":
                if node.common_inline_user_defined_function.python_udf.eval_type in GROUPED_UDFS:
                    return None
            case "unresolved_attribute" | "expression_string" | "call_function" | "typed_aggregate_expression":
                # An attribute outside any function is a key, named as it was before grouping.
                return None
            case _:
                pass
    return calls


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _unaliased(expression: Expression) -> Expression:
    return expression.alias.expr if expression.WhichOneof("expr_type") == "alias" else expression


def copied(expression: Expression) -> Expression:
    copy = Expression()
    copy.CopyFrom(expression)
    return copy
