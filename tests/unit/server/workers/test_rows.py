"""Arrow data as PySpark's rows: the same that PySpark's own conversion gives, which is slower."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.conversion import ArrowTableToRowsConversion
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import Row

from riacho.server.workers.rows import rows_of

MOMENT = dt.datetime(1960, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)
POINT = pa.struct([("x", pa.int32()), ("at", pa.timestamp("us", "UTC")), ("in", pa.struct([("s", pa.string())]))])
VALUES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int8(), [1, None, -128]),
    (pa.int64(), [2**63 - 1, None, -(2**63)]),
    (pa.float32(), [1.5, None, float("inf")]),
    (pa.float64(), [0.1, None, -0.0]),
    (pa.bool_(), [True, None, False]),
    (pa.string(), ["é", None, ""]),
    (pa.binary(), [b"\x00", None, b""]),
    (pa.large_string(), ["a", None, "b"]),
    (pa.date32(), [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    (pa.timestamp("us", "America/Sao_Paulo"), [MOMENT, None, dt.datetime(2024, 7, 1, tzinfo=dt.UTC)]),
    (pa.timestamp("us"), [MOMENT.replace(tzinfo=None), None, dt.datetime(2024, 7, 1)]),  # noqa: DTZ001 - without one
    (pa.duration("us"), [dt.timedelta(days=1, microseconds=1), None, dt.timedelta(-1)]),
    (pa.decimal128(38, 18), [Decimal("1.50"), None, Decimal("-0.000000000000000001")]),
    (pa.decimal128(10, 0), [Decimal(0), None, Decimal(-5)]),
    (pa.null(), [None, None, None]),
    (pa.list_(pa.int64()), [[1, None], None, []]),
    (pa.list_(pa.list_(POINT)), [[[{"x": 1, "at": MOMENT, "in": None}], None], None, [[]]]),
    (POINT, [{"x": None, "at": MOMENT, "in": {"s": "a"}}, None, {"x": 2, "at": None, "in": {"s": None}}]),
    (pa.map_(pa.string(), POINT), [[("k", {"x": 1, "at": None, "in": None})], None, []]),
    (pa.map_(pa.date32(), pa.int64()), [[(dt.date(2024, 1, 1), None)], None, [(dt.date(2024, 1, 2), 5)]]),
    (pa.struct([]), [{}, None, {}]),
]


@pytest.fixture(params=["UTC", "America/Sao_Paulo", "Asia/Kathmandu"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(("arrow", "values"), VALUES, ids=str)
def test_values(arrow: pa.DataType, values: list[Any]) -> None:
    for given in (values, [values[0]], [values[1]] * 2, values[::2], [], values * 3):
        column = pa.array(given, arrow)
        for start in (0, 1, 2):
            batch = pa.record_batch([column, column], names=["a", "a"]).slice(start)
            schema = from_arrow_schema(batch.schema)
            wanted = ArrowTableToRowsConversion.convert(pa.Table.from_batches([batch]), schema)
            found = list(rows_of(batch, schema))
            assert repr(found) == repr(wanted)
            assert [row.__fields__ for row in found] == [["a", "a"]] * len(wanted)


def test_rows_are_rows() -> None:
    batch = pa.record_batch({"n": pa.array([1]), "s": pa.array(["a"]).dictionary_encode()})
    schema = from_arrow_schema(pa.schema([("n", pa.int64()), ("s", pa.string())]))
    (row,) = rows_of(batch, schema)
    assert row == Row(n=1, s="a")
    assert (row.n, row["s"], row.asDict()) == (1, "a", {"n": 1, "s": "a"})
    empty = pa.table({"n": [1, 2]}).select([]).to_batches()[0]
    assert list(rows_of(empty, from_arrow_schema(empty.schema))) == [Row(), Row()]


def test_times_that_python_does_not_have() -> None:
    batch = pa.record_batch({"t": pa.array([2**60], pa.timestamp("us"))})
    with pytest.raises(ValueError, match="out of range"):
        list(rows_of(batch, from_arrow_schema(batch.schema)))
