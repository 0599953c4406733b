"""Aggregate functions taken apart: what to keep per group, how to merge and finalize it.

`count`, `sum`, `avg`, `min`, `max` and their like need a few numbers per group however many rows it has. The engine
computes them for the rows of one batch ("partials"), here they are merged with those in the state, and an expression
over the merged numbers gives the function's result:

    avg(x)   update  sum(x), count(x)   merge  add, add   evaluate  sum / count

Where the engine has no function for what is kept, it gives the values of the batch as a list per group, and what is
kept is computed from them here; where it has none for the result, the partial is finalized here:

    mode(x)  update  the values and how often each occurs   merge  add up   finalize  the most frequent

A function that is not in `FUNCTIONS` cannot be taken apart this way; its groups keep their rows (see `aggregate`).
"""

from __future__ import annotations

import pyarrow as pa

from riacho.server.plan.build import Expression
from riacho.server.sql.words import words
from riacho.server.streaming.operators.partials import counts, hyperloglog, moments, plain, values
from riacho.server.streaming.operators.partials.model import (
    ArrayFunction,
    Decomposition,
    Maker,
    Partial,
    opaque,
    single,
)

__all__ = ["AGGREGATES", "FUNCTIONS", "ArrayFunction", "Decomposition", "Partial", "decompose", "opaque"]

FUNCTIONS: dict[str, Maker] = {
    **plain.FUNCTIONS,
    **moments.FUNCTIONS,
    **values.FUNCTIONS,
    **counts.FUNCTIONS,
    **hyperloglog.FUNCTIONS,
}


def decompose(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition:
    """How to keep a call whose result has type `result`; as an opaque partial if it cannot be taken apart."""
    make = FUNCTIONS.get(function.function_name.lower())
    apart = make(function, result) if make is not None and not function.is_distinct else None
    return apart or single(opaque(Expression(unresolved_function=function)), result)


AGGREGATES = frozenset(FUNCTIONS) | words(
    """
    approx_top_k approx_top_k_accumulate approx_top_k_combine bitmap_and_agg bitmap_construct_agg bitmap_or_agg
    count_distinct count_min_sketch grouping grouping_id histogram_numeric hll_sketch_agg hll_union_agg
    kll_sketch_agg_bigint kll_sketch_agg_double kll_sketch_agg_float percentile_cont percentile_disc
    schema_of_variant_agg sum_distinct theta_intersection_agg theta_sketch_agg theta_union_agg
    """
)
"""Every aggregate function of Spark; any other function takes one row."""
