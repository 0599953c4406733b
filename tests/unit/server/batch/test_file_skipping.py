"""No file is skipped that has a wanted row, whatever its statistics round; and files are skipped at all."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.server.batch.file_skipping import with_wanted_rows
from riacho.server.batch.read_filters import ReadFilter
from riacho.server.delta import files
from riacho.server.delta.actions import AddFile

SCHEMA: Final = pa.schema(
    [
        ("n", pa.int64()),
        ("s", pa.string()),
        ("d", pa.date32()),
        ("t", pa.timestamp("us", "UTC")),
        ("m", pa.decimal128(20, 4)),
        ("f", pa.float64()),
    ]
)
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
VALUES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "n": st.integers(-5, 5),
    "s": st.one_of(st.sampled_from(["", "a", "ab", "b"]), st.text("aé\U0001f600", min_size=30, max_size=40)),
    "d": st.dates(date(2023, 12, 30), date(2024, 1, 3)),
    "t": st.integers(-3000, 3000).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    "m": st.integers(-50000, 50000).map(lambda value: Decimal(value).scaleb(-4)),
    "f": st.sampled_from([-1.5, 0.0, 2.5, float("nan")]),
}
COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "EqualTo": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}


def meets(made: ReadFilter, value: Any) -> bool:
    if made.name in ("IsNull", "IsNotNull"):
        return bool((value is None) == (made.name == "IsNull"))
    if value is None:
        return False
    if value != value:  # noqa: PLR0124 - NaN is the greatest
        holds = made.name in ("GreaterThan", "GreaterThanOrEqual")
    elif made.name == "In":
        holds = value in made.value
    elif made.name == "StringStartsWith":
        holds = value.startswith(made.value)
    else:
        holds = COMPARED[made.name](value, made.value)
    return holds != made.negated


@st.composite
def filters(draw: st.DrawFn) -> ReadFilter:
    name = draw(st.sampled_from(list(VALUES)))
    value = VALUES[name] if name != "f" else st.sampled_from([-1.5, 0.0, 2.5])
    kinds = [*COMPARED, "IsNull", "IsNotNull", "In", *(["StringStartsWith"] if name == "s" else [])]
    kind = draw(st.sampled_from(kinds))
    if kind in ("IsNull", "IsNotNull"):
        return ReadFilter(kind, (name,))
    wanted = tuple(draw(st.lists(value, min_size=1, max_size=3))) if kind == "In" else draw(value)
    return ReadFilter(kind, (name,), wanted, draw(st.booleans()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table")


@given(data=st.data(), made=st.lists(filters(), min_size=1, max_size=2))
@settings(max_examples=150, deadline=None)
def test_no_file_with_a_wanted_row_is_skipped(data: st.DataObject, made: list[ReadFilter], folder: Path) -> None:
    column = {name: st.lists(st.one_of(st.none(), value), min_size=3, max_size=3) for name, value in VALUES.items()}
    rows = {name: data.draw(values) for name, values in column.items()}
    (new,) = files.write_batches([pa.RecordBatch.from_pydict(rows, schema=SCHEMA)], folder)
    wanted = any(all(meets(each, rows[each.column[0]][at]) for each in made) for at in range(3))
    kept = with_wanted_rows([new.add], SCHEMA, made)
    assert kept or not wanted
    files.discard(folder, [new])


def test_files_are_skipped() -> None:
    def file(low: int, high: int, nulls: int = 0) -> AddFile:
        stats = {"numRecords": 5, "minValues": {"n": low}, "maxValues": {"n": high}, "nullCount": {"n": nulls}}
        return AddFile(f"{low}", 1, 0, stats=json.dumps(stats))

    held = [file(0, 4), file(5, 9), file(10, 14, 1), AddFile("unknown", 1, 0), AddFile("odd", 1, 0, stats="[]")]

    def kept(name: str, value: Any = None, *, negated: bool = False) -> list[str]:
        made = ReadFilter(name, ("n",), value, negated)
        return [add.path for add in with_wanted_rows(held, SCHEMA, [made]) if add.stats not in (None, "[]")]

    assert kept("EqualTo", 9) == ["5"]
    assert kept("In", (4, 10)) == ["0", "10"]
    assert kept("GreaterThan", 9) == ["10"]
    assert kept("LessThanOrEqual", 5) == ["0", "5"]
    assert kept("IsNull") == ["10"]
    assert kept("EqualTo", 9, negated=True) == ["0", "5", "10"]
    parts = [AddFile(name, 1, 0, {"s": name}) for name in ("a", "b")]
    assert [add.path for add in with_wanted_rows(parts, SCHEMA, [ReadFilter("EqualTo", ("s",), "b")])] == ["b"]
