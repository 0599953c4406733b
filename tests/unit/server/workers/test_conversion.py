"""Rows of readers as Arrow: the same batches and the same errors as PySpark's own worker."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql.datasource import DataSource
from pyspark.sql.types import Row, StructType, _parse_datatype_json_string
from pyspark.sql.worker.plan_data_source_read import records_to_arrow_batches

from riacho import types
from riacho.server.workers.sources.conversion import BATCH_ROWS, to_batches
from tests.unit.server.workers.schemas import SCHEMA

MOMENT = dt.datetime(2024, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - as users write them
FULL = (1, "a", b"b", 1.5, True, Decimal("1.5"), MOMENT.date(), MOMENT, MOMENT, [1, None], {"k": 1}, (1, "x"), None)
EMPTY = (None,) * len(FULL)
NAMES = [chr(ord("a") + place) for place in range(len(FULL))]


def named(values: tuple[Any, ...], names: list[str] = NAMES) -> Row:
    return Row(**dict(zip(names, values, strict=True)))


def with_value(place: int, value: Any) -> tuple[Any, ...]:
    return (*FULL[:place], value, *FULL[place + 1 :])


CASES: dict[str, Callable[[], list[Any]]] = {
    "nothing": list,
    "tuples": lambda: [FULL, EMPTY] * 3,
    "lists": lambda: [list(FULL), EMPTY],
    "named": lambda: [named(FULL), named(EMPTY)],
    "named in another order": lambda: [named(FULL[::-1], NAMES[::-1])],
    "named and not": lambda: [named(FULL), FULL],
    "rows without names": lambda: [Row(*FULL), Row(*EMPTY)],  # type: ignore[call-overload]
    "more than a batch": lambda: [FULL] * (BATCH_ROWS + 3),
    "text of other things": lambda: [with_value(1, value) for value in (1, True, None, [1], {"a": 1}, "x")],
    "bytearray": lambda: [with_value(2, bytearray(b"xy")), with_value(2, None)],
    "a whole number for a double": lambda: [with_value(3, 1)],
    "NaN as a decimal": lambda: [with_value(5, Decimal("NaN"))],
    "a decimal of another scale": lambda: [with_value(5, Decimal("1.234"))],
    "a moment of a zone": lambda: [with_value(7, MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))))],
    "a struct as a dict": lambda: [with_value(11, {"q": "x", "p": 3})],
    "a wrong number of values": lambda: [FULL, FULL[1:]],
    "no row": lambda: [FULL, 5],
    "other names": lambda: [Row(z=1)],
    "a wrong value": lambda: [with_value(0, "x")],
    "too large": lambda: [with_value(0, 2**40)],
    "text for a moment": lambda: [with_value(8, "2024")],
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_pyspark_makes_of_it(case: str) -> None:
    schema = _parse_datatype_json_string(types.to_json(SCHEMA))
    assert isinstance(schema, StructType)

    class Source(DataSource):
        pass

    def outcome(convert: Callable[[Iterator[Any]], Any]) -> Any:
        try:
            return list(convert(iter(CASES[case]())))
        except Exception as error:  # noqa: BLE001 - compared
            return type(error), str(error)

    expected = outcome(lambda rows: records_to_arrow_batches(rows, BATCH_ROWS, schema, Source({})))
    found = outcome(lambda rows: to_batches(rows, schema, Source({})))
    assert found == expected
