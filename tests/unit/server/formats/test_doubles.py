"""Doubles as the decimals that their texts are, against Python's `decimal`."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import ArithmeticFailure
from riacho.server.formats.doubles import rounded, to_decimal
from riacho.server.formats.number_texts import without_exponents

_WIDE = Context(prec=800)

ties = st.builds(
    lambda whole, power, away: (
        math.nextafter(whole * 10 + 5, away * math.inf) / 10**power if away else whole / 10**power
    ),
    st.integers(-(10**14), 10**14),
    st.integers(0, 15),
    st.sampled_from([-1, 0, 1]),
)
doubles = st.lists(st.one_of(st.floats(), ties, st.floats(-1e6, 1e6).map(lambda x: round(x, 3))), max_size=20)


def _near(value: float, digits: int, mode: str) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), mode, _WIDE)


@given(doubles, st.integers(-30, 30), st.booleans())
def test_rounding_goes_by_the_shortest_text(values: list[float], digits: int, even: bool) -> None:
    found = rounded(pa.array(values, pa.float64()), digits, even).to_pylist()
    mode = ROUND_HALF_EVEN if even else ROUND_HALF_UP
    meant = [value if not math.isfinite(value) else float(_near(value, digits, mode)) + 0.0 for value in values]
    assert list(map(repr, found)) == list(map(repr, meant))


@given(doubles, st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))))
def test_a_decimal_is_what_the_shortest_text_says(values: list[float], size: tuple[int, int]) -> None:
    precision, scale = size
    found = to_decimal(pa.array(values, pa.float64()), precision, scale, False).to_pylist()
    for value, decimal in zip(values, found, strict=True):
        meant = _near(value, scale, ROUND_HALF_UP) if math.isfinite(value) else None
        if meant is not None and abs(meant) >= Decimal(10) ** (precision - scale):
            meant = None
        assert decimal == meant, value


def test_nulls_stay_and_floats_are_taken_as_the_doubles_that_they_are() -> None:
    assert rounded(pa.array([None, 2.675, 1.15], pa.float32()), 1, False).cast(pa.float64()).to_pylist() == [
        None,
        2.700000047683716,
        1.100000023841858,
    ]
    assert to_decimal(pa.array([None, 1.1], pa.float32()), 20, 10, True).to_pylist() == [None, Decimal("1.1000000238")]


def test_a_number_that_is_too_large_is_named() -> None:
    with pytest.raises(ArithmeticFailure, match=r"99\.995 cannot be represented as Decimal\(4, 2\)"):
        to_decimal(pa.array([None, 1.0, 99.995]), 4, 2, True)


def test_only_numbers_with_an_exponent_are_written_out() -> None:
    texts = ["1.5e3", " -2E-3 ", "1", "x", "1e", "e5", None, "1e99999", "-1e-99999", "1.25e-38", "0e5"]
    assert without_exponents(pa.array(texts)).to_pylist() == [
        "1500",
        "-0.002",
        "1",
        "x",
        "1e",
        "e5",
        None,
        "1" + "0" * 60,
        "0",
        "0.0000000000000000000000000000000000000125",
        "0",
    ]
