"""Partition values: as text, as folders, split out of data."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.delta.partitions import folder, from_text, split, to_text

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        ("a/b", "a/b"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        (date(2024, 2, 29), "2024-02-29"),
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 1, 1, 12, tzinfo=UTC), "2024-01-01T12:00:00.000000Z"),
    ],
)
def test_values_as_text(value: Any, text: str | None) -> None:
    assert to_text(value) == text


@given(
    st.one_of(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.just(pa.int64())),
        st.tuples(st.text(min_size=1), st.just(pa.string())),
        st.tuples(st.booleans(), st.just(pa.bool_())),
        st.tuples(st.dates(), st.just(pa.date32())),
        st.tuples(st.floats(allow_nan=False), st.just(pa.float64())),
        st.tuples(MOMENTS, st.just(pa.timestamp("us", "UTC"))),
        st.tuples(st.decimals(-999, 999, places=2), st.just(pa.decimal128(5, 2))),
    )
)
def test_text_means_the_value_again(case: tuple[Any, pa.DataType]) -> None:
    value, arrow = case
    assert from_text(to_text(value), arrow).as_py() == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2024-01-01 12:00:00", 12), ("2024-01-01 12:00:00.5", 12), ("2024-01-01T12:00:00Z", 12), ("2024-01-01", 0)],
)
def test_other_writers_times(text: str, expected: int) -> None:
    assert from_text(text, pa.timestamp("us", "UTC")).as_py().hour == expected


def test_folders() -> None:
    assert folder({}) == ""
    assert folder({"day": "2024-01-01", "kind": "a/b", "none": None}) == (
        "day=2024-01-01/kind=a%2Fb/none=__HIVE_DEFAULT_PARTITION__"
    )


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, 1, 2]), st.integers(0, 9))))
def test_splitting_loses_and_mixes_nothing(rows: list[tuple[str | None, int | None, int]]) -> None:
    schema = pa.schema([("k", pa.string()), ("n", pa.int32()), ("v", pa.int32())])
    data = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
    found = [
        (values["k"], values["n"], value) for values, part in split(data, ["k", "n"]) for value in part["v"].to_pylist()
    ]
    expected = [(k, None if n is None else str(n), v) for k, n, v in rows]
    assert sorted(found, key=str) == sorted(expected, key=str)
    keys = [tuple(values.items()) for values, _ in split(data, ["k", "n"])]
    assert len(keys) == len(set(keys))


def test_doubles_are_written_as_java_prints_them() -> None:
    values = [1e20, 1.5, 0.001, 1e-4, 12345678.9, 1e7, float("nan"), float("-inf"), -0.0, 0.0]
    rows = pa.table({"p": pa.array(values), "id": range(len(values))})
    found = {part["id"][0].as_py(): texts["p"] for texts, part in split(rows, ["p"])}
    assert [found[place] for place in range(len(values))] == [
        "1.0E20", "1.5", "0.001", "1.0E-4", "1.23456789E7", "1.0E7", "NaN", "-Infinity", "-0.0", "0.0",
    ]  # fmt: skip
    single = pa.table({"p": pa.array([0.1, 1e20], pa.float32()), "id": [0, 1]})
    assert sorted(texts["p"] or "" for texts, _ in split(single, ["p"])) == ["0.1", "1.0E20"]
    assert to_text("__HIVE_DEFAULT_PARTITION__") is None
