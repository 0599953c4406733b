"""Functions that need the values themselves: lists, sets, and the greatest by another column."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.server.plan.build import Expression, call, cast, integer, null, text
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials.lists import append, append_unseen, fold
from riacho.server.streaming.operators.partials.model import Decomposition, Maker, Merge, Partial, single
from riacho.server.streaming.operators.partials.ordering import Signs, choose, compare, present


def _collect(merge: Merge, *, grows: bool) -> Maker:
    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        return single(Partial(Expression(unresolved_function=function), merge, grows=grows, ordered=True), result)

    return make


def _join(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """`listagg(text, delimiter)`: the texts, joined when they come out; null if there are none."""
    if not pa.types.is_string(result):
        return None
    value, delimiter = (*function.arguments, text(""))[:2]

    def finish(columns: Sequence[Expression]) -> Expression:
        joined = call("array_join", columns[0], call("coalesce", delimiter, text("")))
        return call("if", call(">", call("size", columns[0]), integer(0)), joined, cast(null(), pa.string()))

    return Decomposition([Partial(call("collect_list", value), append, grows=True, ordered=True)], finish)


def _by(wins: Callable[[Signs], Mask]) -> Maker:
    """`max_by` and `min_by`: the winner so far, with what it is ordered by. Of equals the last wins, as in Spark."""

    def merge(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
        old, new = state.field("by"), batch.field("by")
        return choose(present(state) & (~present(batch) | wins(compare(old, new))), state, batch)

    def update(lists: pa.Array) -> pa.Array:
        return fold(lists, merge)

    def finalize(kept: pa.Array) -> pa.Array:
        return kept.flatten()[0]

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        if len(function.arguments) != 2:
            name = function.function_name
            raise UnsupportedOperationError(f"riacho supports {name}(x, y) on streams, but not {name}(x, y, k).")
        value, by = function.arguments
        pair = call("named_struct", text("value"), value, text("by"), by)
        known = call("if", call("isnotnull", by), pair, null())
        return single(Partial(call("collect_list", known), merge, update, finalize, ordered=True), result)

    return make


FUNCTIONS: dict[str, Maker] = {
    "collect_list": _collect(append, grows=True),
    "array_agg": _collect(append, grows=True),
    "collect_set": _collect(append_unseen, grows=False),
    "listagg": _join,
    "string_agg": _join,
    "max_by": _by(lambda signs: signs > 0),
    "min_by": _by(lambda signs: signs < 0),
}
