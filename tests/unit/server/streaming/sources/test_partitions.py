from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from riacho.errors import SparkRuntimeError
from riacho.server.streaming.sources.partitions import infer_partitions, partition_values, typed_value
from riacho.types import TIMESTAMP


def test_values_stand_between_the_base_and_the_file() -> None:
    assert partition_values("/in/x=0/k=1/d=a%20b/f", "/in/x=0") == {"k": "1", "d": "a b"}
    assert partition_values("/in/k=__HIVE_DEFAULT_PARTITION__/f", "/in") == {"k": None}
    assert partition_values("/elsewhere/k=1/f", "/in") == {}


@pytest.mark.parametrize(
    ("values", "arrow"),
    [
        (["1", "2"], pa.int32()),
        (["1", "3000000000"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["2024-01-01"], pa.date32()),
        (["2024-01-01 10:00:00"], TIMESTAMP),
        (["1", "x"], pa.string()),
        (["__HIVE_DEFAULT_PARTITION__"], pa.string()),
    ],
)
def test_types_are_inferred(values: list[str], arrow: pa.DataType) -> None:
    paths = [f"/in/k={value}/f" for value in values]
    assert infer_partitions(paths, "/in") == pa.schema([("k", arrow)])


@pytest.mark.parametrize(
    ("text", "arrow", "value"),
    [
        ("1", pa.int8(), 1),
        ("true", pa.bool_(), True),
        ("1.5", pa.float64(), 1.5),
        ("1.5", pa.decimal128(3, 2), Decimal("1.50")),
        ("x", pa.string(), "x"),
        ("2024-01-02", pa.date32(), date(2024, 1, 2)),
    ],
)
def test_values_take_their_columns_type(text: str, arrow: pa.DataType, value: object) -> None:
    assert typed_value(text, arrow, "k").equals(pa.scalar(value, arrow))
    assert not typed_value(None, arrow, "k").is_valid


@pytest.mark.parametrize(
    ("text", "arrow"), [("300", pa.int8()), ("x", pa.int32()), ("x", pa.float64()), ("yes", pa.bool_())]
)
def test_a_value_of_another_type_is_an_error(text: str, arrow: pa.DataType) -> None:
    with pytest.raises(SparkRuntimeError, match="INVALID_PARTITION_VALUE"):
        typed_value(text, arrow, "k")
