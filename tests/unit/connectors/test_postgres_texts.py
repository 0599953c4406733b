"""Values as PostgreSQL writes them, as Arrow: what is common, and what Arrow would read wrongly or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.connectors.postgres.texts import BadValueError, as_arrow
from riacho.connectors.postgres.types import PgType

INSTANT, CLOCK = pa.timestamp("us", "UTC"), pa.timestamp("us")
DECIMAL = pa.decimal128(38, 18)
INTS, STRINGS, GRID = pa.list_(pa.int32()), pa.list_(pa.string()), pa.list_(pa.list_(pa.int32()))


def read(texts: list[str | None], wanted: pa.DataType) -> Any:
    found = as_arrow(pa.array(texts, pa.string()), wanted)
    assert found.type.equals(wanted)
    return found.to_pylist()


def text(texts: list[str | None], wanted: pa.DataType) -> Any:
    """For times that Python has no value for."""
    return (
        as_arrow(pa.array(texts, pa.string()), wanted)
        .cast(pa.int64() if wanted != pa.date32() else pa.int32())
        .to_pylist()
    )


def test_plain_values() -> None:
    assert read(["1", None, "-3"], pa.int16()) == [1, None, -3]
    assert read(["t", "f", None, "true"], pa.bool_()) == [True, False, None, True]
    assert read(["\\x00ff", "\\x", None, "101"], pa.binary()) == [b"\x00\xff", b"", None, b"101"]
    assert [str(value) for value in read(["NaN", "Infinity", "-Infinity", "1e10"], pa.float64())] == [
        "nan", "inf", "-inf", "10000000000.0",
    ]  # fmt: skip
    assert read([None, None], pa.int32()) == [None, None]
    assert read(["", "x"], pa.string()) == ["", "x"]


def test_decimals_are_rounded_and_never_run_over() -> None:
    assert read(["1.5", "2", None], pa.decimal128(10, 2)) == [Decimal("1.50"), Decimal(2), None]
    assert read(["1.555", "-2.005", "0.001"], pa.decimal128(10, 2)) == [Decimal("1.56"), Decimal("-2.01"), Decimal(0)]
    assert read(["9" * 20, "0.1234567890123456789"], DECIMAL) == [Decimal("9" * 20), Decimal("0.123456789012345679")]
    for wrong in ("1" + "0" * 30, "9" * 21, "NaN", "Infinity", "1" * 200, "99999999999999999999.9999999999999999999"):
        with pytest.raises(BadValueError):
            read(["1", wrong], DECIMAL)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**30), max_value=10**30),
    st.integers(0, 38),
)
def test_a_decimal_is_itself_or_refused(value: Decimal, scale: int) -> None:
    kind = pa.decimal128(38, scale)
    try:
        (found,) = read([f"{value:f}"], kind)
    except BadValueError:
        assert len(str(int(abs(value)))) + scale > 37
    else:
        assert abs(found - value) <= Decimal(5).scaleb(-scale - 1)


def test_times() -> None:
    assert text(["1970-01-02", "infinity", "0001-01-01 BC", "10000-01-01"], pa.date32()) == [
        1,
        2932896,
        -719528,
        2932897,
    ]
    assert text(["1970-01-01 00:00:01.5", None, "1970-01-01 00:00:00"], CLOCK) == [1_500_000, None, 0]
    assert text(["1970-01-01 00:00:01.5+00", "1970-01-01 00:00:00+00"], INSTANT) == [1_500_000, 0]
    assert text(["00:00:01", "24:00:00"], CLOCK) == [1_000_000, 86_400_000_000]
    assert text(["02:00:00+02", "00:00:00-00:30"], INSTANT) == [0, 1_800_000_000]
    assert text(["infinity", "-infinity"], INSTANT) == [253402300799999000, -62135424000000000]
    for kind in (pa.date32(), CLOCK):
        with pytest.raises(BadValueError):
            read(["soon"], kind)


def test_arrays() -> None:
    assert read(["{1,NULL,3}", "{}", None], INTS) == [[1, None, 3], [], None]
    assert read(['{a,"b c",NULL,"q\\"\\\\","NULL",""}'], STRINGS) == [["a", "b c", None, 'q"\\', "NULL", ""]]
    assert read(["{{1,2},{3,4}}", None, "{}"], GRID) == [[[1, 2], [3, 4]], None, []]
    assert read(["[0:1]={1,2}", "{5}"], INTS) == [[1, 2], [5]]
    assert read(['{"1970-01-01 00:00:01+00"}'], pa.list_(INSTANT))[0][0].timestamp() == 1
    for wrong, kind in (("{{1,2}}", INTS), ("{1,2}", GRID), ("{a}", INTS), ("{1", STRINGS)):
        with pytest.raises(BadValueError):
            read([wrong], kind)


@given(st.lists(st.one_of(st.none(), st.text()), max_size=5))
def test_any_text_in_an_array(values: list[str | None]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    literal = "{" + ",".join("NULL" if value is None else quoted(value) for value in values) + "}"
    assert read([literal], STRINGS) == [values]


def test_types() -> None:
    def numeric(precision: int, scale: int) -> str:
        modifier = (precision << 16 | scale & 0x7FF) + 4
        return PgType("numeric", modifier).spark(prefer_ntz=True).simpleString()

    assert [numeric(10, 2), numeric(5, -2), numeric(3, 5), numeric(50, 3), numeric(50, 20)] == [
        "decimal(10,2)", "decimal(7,0)", "decimal(5,5)", "decimal(38,0)", "decimal(38,8)",
    ]  # fmt: skip
    array = PgType("_timestamp", -1, PgType("timestamp"), 2)
    assert array.spark(prefer_ntz=True).simpleString() == "array<array<timestamp_ntz>>"
    assert PgType("timestamp").spark(prefer_ntz=False).simpleString() == "timestamp"
