"""Functions whose partials are a number or two: sums, counts, extremes, bits, first and last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.plan.build import Expression, call, cast, integer
from riacho.server.plan.overflow import overflow
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials.lists import fold
from riacho.server.streaming.operators.partials.model import Decomposition, Maker, Merge, Partial, single
from riacho.server.streaming.operators.partials.moments import as_double
from riacho.server.streaming.operators.partials.ordering import choose, larger, present, smaller

# In the functions that merge, null means "no value yet" unless said otherwise.


def _add(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    if pa.types.is_decimal(batch.type):
        return pc.coalesce(_add_decimals(state, batch), state, batch)
    return pc.coalesce(pc.add(state, batch), state, batch)


def _add_decimals(state: pa.Array, batch: pa.Array) -> pa.Array:
    """Raises ARITHMETIC_OVERFLOW for a sum with more digits than the type has."""
    kind = batch.type
    wide = pa.decimal256(kind.precision, kind.scale)  # a sum has a digit more, which DECIMAL(38, s) has no room for
    try:
        return pc.add(state.cast(wide), batch.cast(wide)).cast(kind)
    except pa.ArrowInvalid:
        raise overflow("try_sum") from None


def _add_checked(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    try:
        both = pc.add_checked(state, batch)
    except pa.ArrowInvalid:
        raise overflow("try_add") from None
    return pc.coalesce(both, state, batch)


def _bigint(total: pa.Array) -> pa.Array:
    """The exact sums of a batch. Raises ARITHMETIC_OVERFLOW for one that is no BIGINT."""
    try:
        return total.cast(pa.int64())
    except pa.ArrowInvalid:
        raise overflow("try_add") from None


def _multiply(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return pc.coalesce(pc.multiply(state, batch), state, batch)


def _bits(operation: Callable[[pa.Array, pa.Array], pa.Array]) -> Merge:
    return lambda state, batch, known: pc.coalesce(operation(state, batch), state, batch)  # noqa: ARG005


def _keep_state(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:
    return choose(known, state, batch)


def _keep_batch(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return batch


def _prefer_state(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return choose(present(state), state, batch)


def _prefer_batch(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return choose(present(batch), batch, state)


def _same(merge: Merge) -> Maker:
    """A function whose partial is the function itself."""

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        return single(Partial(Expression(unresolved_function=function), merge), result)

    return make


def _extreme(merge: Merge) -> Maker:
    """Min and max. The engine orders structs and arrays with nulls in them in a way of its own."""

    def update(lists: pa.Array) -> pa.Array:
        return fold(lists, merge)

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        if pa.types.is_null(result):
            return None
        if pa.types.is_nested(result):
            return single(Partial(call("collect_list", *function.arguments), merge, update), result)
        return single(Partial(Expression(unresolved_function=function), merge), result)

    return make


def _sum(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    if pa.types.is_integer(result) and not function.is_distinct:
        return single(Partial(_exact_sum(function), _add_checked, update=_bigint), result)
    numeric = pa.types.is_integer(result) or pa.types.is_floating(result) or pa.types.is_decimal(result)
    return single(Partial(Expression(unresolved_function=function), _add), result) if numeric else None


def _try_sum(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """As `sum`, but null when it does not fit."""
    if not pa.types.is_integer(result):
        return _sum(function, result)
    return single(Partial(_exact_sum(function), _add, finalize=_if_it_fits), result)


def _exact_sum(function: Expression.UnresolvedFunction) -> Expression:
    """The sum of whole numbers as a decimal. The engine's sum of BIGINT wraps around, and its `try_sum` is slow."""
    return call("sum", cast(function.arguments[0], pa.decimal128(20)))


def _if_it_fits(total: pa.Array) -> pa.Array:
    low, high = (pa.scalar(edge, total.type) for edge in (-(2**63), 2**63 - 1))
    fits = pc.and_(pc.greater_equal(total, low), pc.less_equal(total, high))
    return pc.if_else(fits, total, None).cast(pa.int64())


def _avg(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    [value] = function.arguments
    if pa.types.is_decimal(result):
        total = call("sum", value)
    elif pa.types.is_floating(result):
        total = call("sum", as_double(value))
    else:
        return None

    def finish(columns: Sequence[Expression]) -> Expression:
        total, count = columns
        if pa.types.is_decimal(result):  # the engine cuts digits off where Spark rounds
            total = cast(total, pa.decimal128(38, min(result.scale + 2, 38)))
        quotient = call("/", total, call("nullif", count, integer(0)))
        if pa.types.is_decimal(result):
            quotient = call("round", quotient, Expression(literal=Expression.Literal(integer=result.scale)))
        return cast(quotient, result)

    return Decomposition([Partial(total, _add), Partial(call("count", value), _add)], finish)


def _first(keep: Merge, prefer: Merge) -> Maker:
    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        skips_nulls = len(function.arguments) > 1
        if skips_nulls:
            flag = function.arguments[1]
            if not (flag.HasField("literal") and flag.literal.HasField("boolean")):
                return None
            skips_nulls = flag.literal.boolean
        merge = prefer if skips_nulls else keep
        return single(Partial(Expression(unresolved_function=function), merge, ordered=True), result)

    return make


_FIRST = _first(_keep_state, _prefer_state)
_LAST = _first(_keep_batch, _prefer_batch)

FUNCTIONS: dict[str, Maker] = {
    "count": _same(_add),
    "count_if": _same(_add),
    "sum": _sum,
    "avg": _avg,
    "mean": _avg,
    "try_avg": _avg,
    "try_sum": _try_sum,
    "product": _same(_multiply),
    "min": _extreme(smaller),
    "max": _extreme(larger),
    "bool_and": _same(smaller),
    "every": _same(smaller),
    "bool_or": _same(larger),
    "some": _same(larger),
    "any": _same(larger),
    "bit_and": _same(_bits(pc.bit_wise_and)),
    "bit_or": _same(_bits(pc.bit_wise_or)),
    "bit_xor": _same(_bits(pc.bit_wise_xor)),
    "first": _FIRST,
    "first_value": _FIRST,
    "any_value": _FIRST,
    "grouping": _same(_keep_batch),
    "grouping_id": _same(_keep_batch),
    "last": _LAST,
    "last_value": _LAST,
}
