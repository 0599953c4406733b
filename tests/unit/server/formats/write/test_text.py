"""Values as text, compared with what Python says of them one by one."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.server.formats.write.csv_text import CsvText
from riacho.server.formats.write.json_text import JsonText
from riacho.server.formats.write.moments import DEFAULT_DATE, DEFAULT_NTZ, DEFAULT_TIMESTAMP, compile_moments
from riacho.server.formats.write.spelling import Moment, floats

MOMENT = Moment(
    compile_moments(DEFAULT_DATE), compile_moments(DEFAULT_TIMESTAMP), compile_moments(DEFAULT_NTZ), "America/Sao_Paulo"
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1e7, 1e-3, 9999999.0, 1e16, 1e-7, 1.5e300, 123456789.125, -1.5e-7])
)
VALUES: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "s": st.none() | TEXT,
        "l": st.none() | st.lists(st.none() | TEXT, max_size=3),
        "m": st.none()
        | st.lists(st.tuples(TEXT, st.none() | st.booleans()), max_size=3, unique_by=lambda pair: pair[0]),
        "r": st.none() | st.fixed_dictionaries({"a": st.none() | st.integers(-9, 9), "b": st.none() | TEXT}),
    }
)
TYPES = pa.schema(
    {
        "i": pa.int64(),
        "s": pa.string(),
        "l": pa.list_(pa.string()),
        "m": pa.map_(pa.string(), pa.bool_()),
        "r": pa.struct([("a", pa.int32()), ("b", pa.string())]),
    }
)


@given(st.lists(st.none() | NUMBERS, max_size=20))
def test_doubles_are_what_they_say(values: list[float | None]) -> None:
    for value, text in zip(values, floats(pa.array(values, pa.float64())).to_pylist(), strict=True):
        if value is None or text is None:
            assert value is text
        elif math.isnan(value):
            assert text == "NaN"
        elif math.isinf(value):
            assert text == ("Infinity" if value > 0 else "-Infinity")
        else:
            assert float(text) == value
            assert math.copysign(1, float(text)) == math.copysign(1, value)
            assert ("E" in text) == (value != 0 and not 1e-3 <= abs(value) < 1e7)
            assert "." in text


@pytest.mark.parametrize("name", [MOMENT.zone, "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@given(values=st.lists(st.datetimes(datetime(1930, 1, 1), datetime(9999, 12, 30)), max_size=20))  # noqa: DTZ001
def test_times_are_those_of_the_zone(name: str, values: list[datetime]) -> None:
    """Also of years for which no list has the zone's changes, only its rule. (Earlier, offsets had seconds.)"""
    moments = [value.replace(tzinfo=UTC) for value in values]
    texts = MOMENT.timestamp.timestamps(pa.array(moments, pa.timestamp("us", "UTC")), name).to_pylist()
    zone = ZoneInfo(name)
    for moment, text in zip(moments, texts, strict=True):
        millis = moment - timedelta(microseconds=moment.microsecond % 1000)
        assert text == millis.astimezone(zone).isoformat(timespec="milliseconds")


@given(st.lists(st.dates(), max_size=20))
def test_dates_are_those_of_the_calendar(values: list[date]) -> None:
    texts = compile_moments("yyyy-MM-dd D E").dates(pa.array(values, pa.date32())).to_pylist()
    assert texts == [f"{day.isoformat()} {day.timetuple().tm_yday} {day:%a}" for day in values]


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=6), st.booleans(), st.integers(0, 2))
def test_json_says_what_the_rows_say(values: list[dict[str, Any]], keep_nulls: bool, skipped: int) -> None:
    batch = pa.RecordBatch.from_pylist(values, schema=TYPES).slice(skipped)
    lines = JsonText(MOMENT, keep_nulls).lines(batch).to_pylist()

    def shown(row: dict[str, Any]) -> dict[str, Any]:
        fields = {**row, "m": None if row["m"] is None else dict(row["m"]), "r": row["r"] and left(row["r"])}
        return left(fields)

    def left(fields: dict[str, Any]) -> dict[str, Any]:
        return fields if keep_nulls else {name: value for name, value in fields.items() if value is not None}

    assert [json.loads(line) for line in lines] == [shown(row) for row in values[skipped:]]
    assert all(line.endswith("}\n") and line.count("\n") == 1 for line in lines)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.none() | TEXT, st.integers(-9, 9), st.none() | TEXT), max_size=6))
def test_csv_can_be_read_again(values: list[tuple[Any, ...]]) -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"a": a, "b": b, "c": c} for a, b, c in values],
        schema=pa.schema({"a": pa.string(), "b": pa.int64(), "c": pa.string()}),
    )
    plain = CsvText(MOMENT, escape='"', escape_escape="\0", trim_leading=False, trim_trailing=False)
    text = "".join(plain.lines(batch).to_pylist())
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [[a or "", str(b), c or ""] for a, b, c in values]
