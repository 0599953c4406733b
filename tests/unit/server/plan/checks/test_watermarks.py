"""Which columns may carry a watermark. The texts are those of Apache Spark 4.2.1."""

from __future__ import annotations

import pyarrow as pa
import pytest

from riacho.errors import AnalysisError
from riacho.server.plan.checks import check_watermarks
from riacho.server.plan.text import outline
from tests.plans.notation import parse

TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("ts", TIME),
        ("local", pa.timestamp("us")),
        ("value", pa.int64()),
        ("window", pa.struct([("start", TIME), ("end", TIME)])),
        ("s", pa.struct([("ts2", TIME)])),
    ]
)


def check(column: str, below: str = "stream json /in") -> None:
    check_watermarks(parse(f"filter a\n  watermark {column} 1 second\n    {below}"), lambda _: SCHEMA)


@pytest.mark.parametrize("column", ["ts", "TS", "`ts`", "t.ts", "local", "window"])
def test_timestamps_and_windows(column: str) -> None:
    check(column)


def test_a_batch_plan_is_not_looked_at() -> None:
    check("value", below="table t")


def test_a_field_of_a_struct() -> None:
    with pytest.raises(AnalysisError) as error:
        check("s.ts2")
    assert error.value.message == (
        "[EVENT_TIME_MUST_BE_TOP_LEVEL_COLUMN] The event time in withWatermark must be a top-level column, but 's.ts2' "
        "is a nested field. To use it, alias it to a top-level column in a select before withWatermark. SQLSTATE: 42K09"
    )


def test_another_type() -> None:
    with pytest.raises(AnalysisError) as error:
        check("value")
    node = parse("watermark value 1 second\n  stream json /in")
    assert error.value.message == (
        '[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE] The event time `value` has the invalid type "BIGINT", but expected '
        f'"TIMESTAMP". SQLSTATE: 42K09;\n{outline(node)}\n'
    )


def test_no_such_column() -> None:
    with pytest.raises(AnalysisError) as error:
        check("nope")
    assert error.value.message.startswith(
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `nope` cannot be "
        "resolved. Did you mean one of the following? [`ts`, `local`, `value`, `window`, `s`]. SQLSTATE: 42703"
    )
