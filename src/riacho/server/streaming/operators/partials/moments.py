"""Functions of moments: how many numbers there are, their mean, and sums of powers of distances from it.

    stddev*, var*              count, mean, squares
    skewness, kurtosis         the same, and third and fourth powers
    corr, covar_*, regr_*      count, both means and squares, and the sum of products, of pairs without null

Two sets' moments give those of their union (Chan, Golub and LeVeque; Pébay for the higher powers). A function is a
few operations on the numbers kept. Where there are too few numbers for it, it is null; so it is where it would divide
by nothing, as Spark's division is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from riacho.server.plan.build import Expression, call, cast, null
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials.lists import Floats, floats, lengths, owners
from riacho.server.streaming.operators.partials.model import Decomposition, Maker, Partial, single

_POWERS = pa.struct([(name, pa.float64()) for name in ("n", "mean", "m2", "m3", "m4")])


def as_double(value: Expression) -> Expression:
    """A number as a double. Not by a cast: the engine takes `sum(x)` and `sum(CAST(x AS DOUBLE))` for one column."""
    return call("*", value, Expression(literal=Expression.Literal(double=1.0)))


def _merge_squares(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    (n1, mean1, squares1), (n2, mean2, squares2) = _fields(state), _fields(batch)
    n, share, delta = _union(n1, n2, mean1, mean2)
    return _struct([n, _mean(n1, mean1, mean2, delta, share), squares1 + squares2 + delta**2 * n1 * share], batch.type)


def _spread(finish: Callable[[Floats, Floats], Floats], *, least: int) -> Maker:
    """Stddev and variance. `finish(count, squares)`, which takes at least so many numbers."""

    def finalize(kept: pa.Array) -> pa.Array:
        n, _, squares = _fields(kept)
        return _numbers(lambda: finish(n, squares), n >= least)

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        [value] = function.arguments
        number = as_double(value)
        count = cast(call("count", value), pa.float64())
        moments = call("struct", count, call("avg", number), call("*", call("var_pop", number), count))
        return single(Partial(moments, _merge_squares, finalize=finalize), result)

    return make


def _moments_of(lists: pa.Array) -> pa.Array:
    """The moments of each list of numbers. The engine's own skewness loses digits where the mean is large."""
    row, values = owners(lists), floats(lists.flatten())
    n = lengths(lists).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, np.bincount(row, values, len(lists)) / n, 0.0)
        distance = values - mean[row]
        powers: list[Any] = [np.bincount(row, distance**power, len(lists)) for power in (2, 3, 4)]
    return _struct([n, mean, *powers], _POWERS)


def _merge_powers(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    (n1, mean1, a2, a3, a4), (n2, mean2, b2, b3, b4) = _fields(state), _fields(batch)
    n, share, delta = _union(n1, n2, mean1, mean2)
    with np.errstate(invalid="ignore", divide="ignore"):
        step = np.where(n > 0, delta / n, 0.0)
    m2 = a2 + b2 + delta * step * n1 * n2
    m3 = a3 + b3 + step**2 * delta * n1 * n2 * (n1 - n2) + 3 * step * (n1 * b2 - n2 * a2)
    m4 = (
        a4
        + b4
        + step**3 * delta * n1 * n2 * (n1**2 - n1 * n2 + n2**2)
        + 6 * step**2 * (n1**2 * b2 + n2**2 * a2)
        + 4 * step * (n1 * b3 - n2 * a3)
    )
    return _struct([n, _mean(n1, mean1, mean2, delta, share), m2, m3, m4], batch.type)


def _shape(finish: Callable[[Floats, Floats, Floats, Floats], Floats]) -> Maker:
    """Skewness and kurtosis. `finish(count, m2, m3, m4)`; no spread, no shape."""

    def finalize(kept: pa.Array) -> pa.Array:
        n, _, m2, m3, m4 = _fields(kept)
        return _numbers(lambda: finish(n, m2, m3, m4), (n > 0) & (m2 != 0))

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        [value] = function.arguments
        values = call("collect_list", as_double(value))
        return single(Partial(values, _merge_powers, _moments_of, finalize), result)

    return make


def _merge_pairs(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    n1, x1, y1, xx1, yy1, xy1 = _fields(state)
    n2, x2, y2, xx2, yy2, xy2 = _fields(batch)
    n, share, dx = _union(n1, n2, x1, x2)
    _, _, dy = _union(n1, n2, y1, y2)
    weight = n1 * share
    columns = [
        n,
        _mean(n1, x1, x2, dx, share),
        _mean(n1, y1, y2, dy, share),
        xx1 + xx2 + dx * dx * weight,
        yy1 + yy2 + dy * dy * weight,
        xy1 + xy2 + dx * dy * weight,
    ]
    return _struct(columns, batch.type)


@dataclass(frozen=True)
class _PairMoments:
    """The moments of pairs, for many groups at once."""

    n: Floats
    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats


def _of_pairs(
    finish: Callable[[_PairMoments], Floats],
    there: Callable[[_PairMoments], Mask] = lambda pairs: pairs.n > 0,
    *,
    swapped: bool = False,
) -> Maker:
    """A function of two columns, null where it is not `there`. `swapped`: the columns come as (y, x)."""

    def finalize(kept: pa.Array) -> pa.Array:
        pairs = _PairMoments(*_fields(kept))
        return _numbers(lambda: finish(pairs), there(pairs))

    def make(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
        x, y = reversed(function.arguments) if swapped else function.arguments
        both = call("and", call("isnotnull", x), call("isnotnull", y))
        x, y = (call("if", both, as_double(value), cast(null(), pa.float64())) for value in (x, y))
        count = cast(call("count", x), pa.float64())
        sums = [
            call("*", moment, count) for moment in (call("var_pop", x), call("var_pop", y), call("covar_pop", x, y))
        ]
        moments = call("struct", count, call("avg", x), call("avg", y), *sums)
        return single(Partial(moments, _merge_pairs, finalize=finalize), result)

    return make


def _union(n1: Floats, n2: Floats, mean1: Floats, mean2: Floats) -> tuple[Floats, Floats, Floats]:
    """Of two sets: how many there are together, the share of the second, and how far apart the means are."""
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, n2 / n, 0.0)
        return n, share, np.where((n1 > 0) & (n2 > 0), mean2 - mean1, 0.0)


def _mean(n1: Floats, mean1: Floats, mean2: Floats, delta: Floats, share: Floats) -> Floats:
    return np.where(n1 == 0, mean2, mean1 + delta * share)


def _fields(kept: pa.Array) -> list[Floats]:
    """The fields of a struct of doubles; 0 where there is nothing."""
    return [floats(field.fill_null(0.0)) for field in kept.flatten()]


def _struct(columns: Sequence[Floats], kind: pa.StructType) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(column, pa.float64()) for column in columns], fields=list(kind))


def _numbers(values: Callable[[], Floats], there: Mask) -> pa.Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return pa.array(values(), mask=~there)


def _varies(pairs: _PairMoments) -> Mask:
    there: Mask = (pairs.n > 0) & (pairs.xx != 0)
    return there


def _both_vary(pairs: _PairMoments) -> Mask:
    there: Mask = (pairs.n > 1) & (pairs.xx * pairs.yy != 0)
    return there


def _correlation(pairs: _PairMoments) -> Floats:
    return pairs.xy / np.sqrt(pairs.xx * pairs.yy)


def _r2(pairs: _PairMoments) -> Floats:
    return np.where(pairs.yy == 0, 1.0, _correlation(pairs) ** 2)


_variance = _spread(lambda n, squares: squares / (n - 1), least=2)
_deviation = _spread(lambda n, squares: np.sqrt(squares / (n - 1)), least=2)

FUNCTIONS: dict[str, Maker] = {
    "var_samp": _variance,
    "variance": _variance,
    "var_pop": _spread(lambda n, squares: squares / n, least=1),
    "stddev": _deviation,
    "stddev_samp": _deviation,
    "std": _deviation,
    "stddev_pop": _spread(lambda n, squares: np.sqrt(squares / n), least=1),
    "skewness": _shape(lambda n, m2, m3, m4: np.sqrt(n) * m3 / np.sqrt(m2**3)),  # noqa: ARG005
    "kurtosis": _shape(lambda n, m2, m3, m4: n * m4 / m2**2 - 3),  # noqa: ARG005
    "corr": _of_pairs(_correlation, _both_vary),
    "covar_pop": _of_pairs(lambda pairs: pairs.xy / pairs.n),
    "covar_samp": _of_pairs(lambda pairs: pairs.xy / (pairs.n - 1), lambda pairs: pairs.n > 1),
    "regr_count": _of_pairs(lambda pairs: pairs.n, lambda pairs: pairs.n >= 0, swapped=True),
    "regr_avgx": _of_pairs(lambda pairs: pairs.x, swapped=True),
    "regr_avgy": _of_pairs(lambda pairs: pairs.y, swapped=True),
    "regr_sxx": _of_pairs(lambda pairs: pairs.xx, swapped=True),
    "regr_syy": _of_pairs(lambda pairs: pairs.yy, swapped=True),
    "regr_sxy": _of_pairs(lambda pairs: pairs.xy, swapped=True),
    "regr_r2": _of_pairs(_r2, _varies, swapped=True),
    "regr_slope": _of_pairs(lambda pairs: pairs.xy / pairs.xx, _varies, swapped=True),
    "regr_intercept": _of_pairs(lambda pairs: pairs.y - pairs.xy / pairs.xx * pairs.x, _varies, swapped=True),
}
