"""Aggregate functions taken apart: what to keep per group, how to merge it, how to finish.

`count`, `sum`, `avg`, `min`, `max` and their like need a few numbers per group however many rows it has. The engine
computes them for the rows of one batch ("partials"), here they are merged with those in the state, and an expression
over the merged numbers gives the function's result:

    avg(x)   keep  sum(x), count(x)   merge  add, add   finish  sum / count

A function that is not in `_FUNCTIONS` cannot be taken apart this way; its groups keep their rows (see `aggregate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.plan.build import Expression, call, cast, field_of, integer
from riacho.plan.tokens import words
from riacho.streaming.state.run import Mask

Merge = Callable[[pa.Array, pa.Array, Mask], pa.Array]
"""merge(state, batch, known): aligned rows; where `known` is false there was no state for the group."""


@dataclass(frozen=True)
class Partial:
    """One number kept per group: how the engine computes it for a batch, and how it is merged."""

    expression: Expression
    merge: Merge


@dataclass(frozen=True)
class Decomposition:
    """A function call taken apart. `finish` makes its result of the partials' columns."""

    partials: Sequence[Partial]
    finish: Callable[[Sequence[Expression]], Expression]


def decompose(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """How to keep a call whose result has type `result`; None if it cannot be taken apart."""
    make = _FUNCTIONS.get(function.function_name.lower())
    if make is None or function.is_distinct:
        return None
    return make(function, result)


# -- merging: null means "no value yet" unless said otherwise


def _add(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    both = pc.add(state, batch)
    if pa.types.is_decimal(batch.type):
        both = both.cast(batch.type, safe=False)
    return pc.coalesce(both, state, batch)


def _smaller(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    if pa.types.is_floating(batch.type):  # NaN is the greatest value
        state_wins = pc.or_kleene(pc.is_nan(batch), pc.less(state, batch))
        return pc.if_else(pc.fill_null(state_wins, False), state, pc.coalesce(batch, state))
    return _element_wise(pc.min_element_wise, state, batch)


def _larger(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    if pa.types.is_floating(batch.type):
        state_wins = pc.or_kleene(pc.is_nan(state), pc.greater(state, batch))
        return pc.if_else(pc.fill_null(state_wins, False), state, pc.coalesce(batch, state))
    return _element_wise(pc.max_element_wise, state, batch)


def _element_wise(function: Callable[[pa.Array, pa.Array], pa.Array], state: pa.Array, batch: pa.Array) -> pa.Array:
    """Arrow orders neither booleans nor times with a zone this way, but the integers that they are."""
    kind = batch.type
    plain = pa.uint8() if pa.types.is_boolean(kind) else pa.int64() if pa.types.is_temporal(kind) else None
    if plain is None or pa.types.is_date(kind):
        return function(state, batch)
    return function(state.cast(plain), batch.cast(plain)).cast(kind)


def _bits(operation: Callable[[pa.Array, pa.Array], pa.Array]) -> Merge:
    return lambda state, batch, known: pc.coalesce(operation(state, batch), state, batch)  # noqa: ARG005


def _keep_state(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:
    return pc.if_else(pa.array(known), state, batch)


def _keep_batch(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return batch


def _prefer_state(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return pc.coalesce(state, batch)


def _prefer_batch(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    return pc.coalesce(batch, state)


def _merge_moments(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    """Count, mean and sum of squared distances of two sets from those of each (Chan, Golub and LeVeque)."""
    fields = [
        [pc.fill_null(pc.struct_field(side, i), 0.0).to_numpy(zero_copy_only=False) for i in range(3)]
        for side in (state, batch)
    ]
    (n1, mean1, m1), (n2, mean2, m2) = fields
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, n2 / n, 0.0)
        delta = np.where((n1 > 0) & (n2 > 0), mean2 - mean1, 0.0)
        mean = np.where(n1 == 0, mean2, mean1 + delta * share)
        squares = m1 + m2 + delta * delta * n1 * share
    return pa.StructArray.from_arrays([n, mean, squares], fields=list(batch.type))


# -- the functions


def _one(expression: Expression, merge: Merge, result: pa.DataType) -> Decomposition:
    return Decomposition([Partial(expression, merge)], lambda columns: cast(columns[0], result))


def _same(merge: Merge) -> Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]:
    """A function whose partial is the function itself."""

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        return _one(Expression(unresolved_function=function), merge, result)

    return make


def _ordered(merge: Merge) -> Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]:
    """Min and max, for types whose order Arrow knows."""

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        if pa.types.is_nested(result) or pa.types.is_null(result):
            return None
        return _one(Expression(unresolved_function=function), merge, result)

    return make


def _sum(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    numeric = pa.types.is_integer(result) or pa.types.is_floating(result) or pa.types.is_decimal(result)
    return _one(Expression(unresolved_function=function), _add, result) if numeric else None


def _avg(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    [value] = function.arguments
    if pa.types.is_decimal(result):
        total = call("sum", value)
    elif pa.types.is_floating(result):
        total = call("sum", _as_double(value))
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


def _first(keep: Merge, prefer: Merge) -> Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]:
    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        skips_nulls = len(function.arguments) > 1
        if skips_nulls:
            flag = function.arguments[1]
            if not (flag.HasField("literal") and flag.literal.HasField("boolean")):
                return None
            skips_nulls = flag.literal.boolean
        if pa.types.is_nested(result):
            return None
        return _one(Expression(unresolved_function=function), prefer if skips_nulls else keep, result)

    return make


def _moments(
    finish: Callable[[Expression, Expression], Expression],
) -> Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]:
    """Stddev and variance: count, mean and squares in one struct, since they merge together."""

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        [value] = function.arguments
        number = _as_double(value)
        count = cast(call("count", value), pa.float64())
        squares = call("*", call("var_pop", number), count)
        moments = call("struct", count, call("avg", number), squares)

        def finished(columns: Sequence[Expression]) -> Expression:
            return cast(finish(field_of(columns[0], "col1"), field_of(columns[0], "col3")), result)

        return Decomposition([Partial(moments, _merge_moments)], finished)

    return make


def _as_double(value: Expression) -> Expression:
    """A number as a double. Not by a cast: the engine takes `sum(x)` and `sum(CAST(x AS DOUBLE))` for one column."""
    return call("*", value, Expression(literal=Expression.Literal(double=1.0)))


def _divide(over: Expression, by: Expression) -> Expression:
    return call("/", over, call("nullif", by, cast(integer(0), pa.float64())))


def _variance_sample(count: Expression, squares: Expression) -> Expression:
    freedom = call("-", count, cast(integer(1), pa.float64()))
    return _divide(squares, call("greatest", freedom, cast(integer(0), pa.float64())))


def _variance_population(count: Expression, squares: Expression) -> Expression:
    return _divide(squares, count)


_variance = _moments(_variance_sample)
_deviation = _moments(lambda count, squares: call("sqrt", _variance_sample(count, squares)))

_FUNCTIONS: dict[str, Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]] = {
    "count": _same(_add),
    "count_if": _same(_add),
    "sum": _sum,
    "avg": _avg,
    "mean": _avg,
    "min": _ordered(_smaller),
    "max": _ordered(_larger),
    "bool_and": _same(_smaller),
    "every": _same(_smaller),
    "bool_or": _same(_larger),
    "some": _same(_larger),
    "any": _same(_larger),
    "bit_and": _same(_bits(pc.bit_wise_and)),
    "bit_or": _same(_bits(pc.bit_wise_or)),
    "bit_xor": _same(_bits(pc.bit_wise_xor)),
    "first": _first(_keep_state, _prefer_state),
    "first_value": _first(_keep_state, _prefer_state),
    "any_value": _first(_keep_state, _prefer_state),
    "last": _first(_keep_batch, _prefer_batch),
    "last_value": _first(_keep_batch, _prefer_batch),
    "var_samp": _variance,
    "variance": _variance,
    "var_pop": _moments(_variance_population),
    "stddev": _deviation,
    "stddev_samp": _deviation,
    "std": _deviation,
    "stddev_pop": _moments(lambda count, squares: call("sqrt", _variance_population(count, squares))),
}

AGGREGATES = words(
    " ".join(_FUNCTIONS)
    + """
    approx_count_distinct approx_percentile approx_top_k array_agg bitmap_construct_agg bitmap_or_agg collect_list
    collect_set corr count_distinct count_min_sketch covar_pop covar_samp grouping grouping_id histogram_numeric
    hll_sketch_agg hll_union_agg kurtosis listagg max_by median min_by mode percentile percentile_approx percentile_cont
    percentile_disc product regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    schema_of_variant_agg skewness string_agg sum_distinct theta_sketch_agg theta_union_agg try_avg try_sum
    """
)
"""Every aggregate function of Spark; any other function takes one row."""
