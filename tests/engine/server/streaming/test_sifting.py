"""Rows are measured against rules as plain Python measures them, and written, quarantined, dropped or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.errors import SparkRuntimeError
from riacho.ids import BatchId, QueryId, RunId, SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.graph.expectations import from_text, kept
from riacho.server.streaming.quality import VIOLATED, Checks, Expectation, Violation
from riacho.server.streaming.sinks.base import OutputMode, SinkBatch, SinkContext
from riacho.server.streaming.sinks.checked import CheckedSink, CheckedWriter
from riacho.server.streaming.sinks.delta import DeltaSink
from riacho.testing.clock import ManualClock

SCHEMA = pa.schema([("n", pa.int64()), ("a", pa.int32()), ("x", pa.float64()), ("s", pa.string())])
Row = dict[str, Any]
Holds = Callable[[Row], bool | None]


def greater(value: float | None, than: float) -> bool | None:
    """As SQL compares: NaN is greater than any other number."""
    return None if value is None else math.isnan(value) or value > than


def either(one: bool | None, other: bool | None) -> bool | None:
    return True if one or other else None if one is None or other is None else False


RULES: Mapping[str, Holds] = {
    "a > 0": lambda row: greater(row["a"], 0),
    "NOT (a > 0)": lambda row: None if row["a"] is None else row["a"] <= 0,
    "A % 2 = 0": lambda row: None if row["a"] is None else row["a"] % 2 == 0,
    "x > 1": lambda row: greater(row["x"], 1),
    "x = x": lambda row: None if row["x"] is None else True,
    "x BETWEEN 0 AND 10": lambda row: None if row["x"] is None else 0 <= row["x"] <= 10,
    "a > 0 OR x > 1": lambda row: either(greater(row["a"], 0), greater(row["x"], 1)),
    "s IS NOT NULL": lambda row: row["s"] is not None,
    "length(s) < 3": lambda row: None if row["s"] is None else len(row["s"]) < 3,
    "NULL": lambda row: None,
}

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(-3, 3),
            "x": st.none() | st.sampled_from([math.nan, -1.0, 0.0, 1.0, 1.5, 10.0, math.inf]),
            "s": st.none() | st.sampled_from(["", "ab", "abc", "ção"]),
        }
    ),
    max_size=25,
).map(lambda rows: [{"n": number, **row} for number, row in enumerate(rows)])
ACTIONS = st.lists(st.tuples(st.sampled_from(list(RULES)), st.sampled_from(list(Violation))), min_size=1, max_size=5)


def expectations(chosen: Sequence[tuple[str, Violation]]) -> tuple[Expectation, ...]:
    return tuple(from_text(f"rule {at}", text, action) for at, (text, action) in enumerate(chosen))


class Bench:
    """Flows with rules into tables of their own."""

    def __init__(self, engine: SailEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.session = engine.session(SessionId(new_uuid()), "test")
        self.spool = engine.spool("test")

    def close(self) -> None:
        self.spool.close()
        self._engine.release(self.session.session_id, "test")

    def relation(self, rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pb.Relation:
        table = pa.Table.from_pylist(list(rows), schema)
        return self.spool.put(table.to_batches(), schema)[0]

    def open(
        self,
        rules: tuple[Expectation, ...],
        folder: Path,
        schema: pa.Schema = SCHEMA,
        *,
        bits_first: bool = True,
    ) -> CheckedWriter:
        quarantines = any(rule.on_violation is Violation.QUARANTINE for rule in rules)
        checks = Checks("flow", "dataset", rules, folder / "quarantine" if quarantines else None)
        clock = ManualClock()
        sink = DeltaSink(folder / "table", options={"mergeschema": "true"}, clock=clock)
        context = SinkContext(
            QueryId("query"),
            RunId(new_uuid()),
            None,
            schema,
            OutputMode.APPEND,
            self.session,
            folder / "it",
            spool=self._engine.spool("sink"),
        )
        return CheckedSink(sink, checks, schema, clock, bits_first).open(context)

    def folder(self) -> Path:
        return Path(mkdtemp(dir=self._folder))


@pytest.fixture(scope="module")
def bench(engine: SailEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(engine, tmp_path_factory.mktemp("sifting"))
    yield made
    made.close()


def read(table: Path) -> list[Row]:
    if not DeltaTable.is_deltatable(str(table)):
        return []
    rows: list[Row] = DeltaTable(table).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: int(row["n"]))


def numbers(table: Path) -> list[int]:
    return [row["n"] for row in read(table)]


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, chosen=ACTIONS, cut=st.integers(0, 25), bits_first=st.booleans())
def test_rows_are_measured_as_plain_python_does(
    bench: Bench, rows: list[Row], chosen: list[tuple[str, Violation]], cut: int, *, bits_first: bool
) -> None:
    rules = expectations(chosen)
    broken = {row["n"]: [rule for rule in rules if RULES[rule.text](row) is not True] for row in rows}
    fates = {
        number: max((rule.on_violation for rule in rules), key=list(Violation).index, default=Violation.WARN)
        for number, rules in broken.items()
    }

    def of(*wanted: Violation) -> list[int]:
        return [number for number, fate in fates.items() if fate in wanted]

    folder = bench.folder()
    writer = bench.open(rules, folder, bits_first=bits_first)
    batch = SinkBatch(BatchId(0), [bench.relation(rows[:cut]), bench.relation(rows[cut:])], SCHEMA)
    plain = kept(bench.relation(rows), rules, "dataset", observed=False)
    if of(Violation.FAIL):
        with pytest.raises(SparkRuntimeError) as caught:
            writer.add_batch(batch)
        assert caught.value.condition == VIOLATED
        assert numbers(folder / "table") == numbers(folder / "quarantine") == []
        return
    out = of(Violation.WARN)
    assert writer.add_batch(batch) == len(out)
    assert numbers(folder / "table") == out
    assert sorted(bench.session.run(plain)["n"].to_pylist()) == out
    quarantined = read(folder / "quarantine")
    assert [row["n"] for row in quarantined] == of(Violation.QUARANTINE)
    for row in quarantined:
        told = [rule for rule in broken[row["n"]] if rule.on_violation is not Violation.WARN]
        assert row["_quarantine"]["rules"] == [rule.name for rule in told]
        assert row["_quarantine"]["reason"] == "; ".join(rule.text for rule in told)
        (whole,) = (other for other in rows if other["n"] == row["n"])
        assert repr({key: row[key] for key in whole}) == repr(whole)
    assert len({row["_quarantine"]["id"] for row in quarantined}) == len(quarantined)
    assert writer.quality is not None
    counts = writer.quality.rows
    assert (counts.rows_in, counts.out) == (len(rows), len(out))
    assert (counts.quarantined, counts.dropped) == (len(quarantined), len(of(Violation.DROP)))
    for count, rule in zip(writer.quality.expectations, rules, strict=True):
        failed = sum(rule in each for each in broken.values())
        assert (count.name, count.dataset, count.passed, count.failed) == (
            rule.name,
            "dataset",
            len(rows) - failed,
            failed,
        )


@pytest.mark.parametrize("bits_first", [False, True])
def test_more_rules_than_a_number_has_bits(bench: Bench, bits_first: bool) -> None:
    folder = bench.folder()
    rules = tuple(
        from_text(f"not {at}", f"a <> {at}", Violation.QUARANTINE if at % 2 else Violation.DROP) for at in range(150)
    )
    writer = bench.open(rules, folder, bits_first=bits_first)
    rows = [{"n": number, "a": number} for number in range(200)]
    writer.add_batch(SinkBatch(BatchId(0), [bench.relation(rows)], SCHEMA))
    assert numbers(folder / "table") == list(range(150, 200))
    assert {row["n"]: row["_quarantine"]["rules"] for row in read(folder / "quarantine")} == {
        at: [f"not {at}"] for at in range(1, 150, 2)
    }
    assert writer.quality is not None
    assert [count.failed for count in writer.quality.expectations] == [1] * 150


@pytest.mark.parametrize("bits_first", [False, True])
def test_the_error_tells_rules_rows_and_an_example_without_secrets(bench: Bench, bits_first: bool) -> None:
    schema = pa.schema([("n", pa.int64()), ("password", pa.string()), ("when", pa.timestamp("us", "UTC"))])
    rules = (from_text("small", "n < 3", Violation.FAIL), from_text("kept", "n < 100", Violation.FAIL))
    writer = bench.open(rules, bench.folder(), schema, bits_first=bits_first)
    rows = [{"n": number, "password": "hunter2", "when": None} for number in range(10)]
    with pytest.raises(SparkRuntimeError) as caught:
        writer.add_batch(SinkBatch(BatchId(0), [bench.relation(rows, schema)], schema))
    text = str(caught.value)
    assert "Flow 'flow' failed to meet the expectation" in text
    assert "'small (n < 3), 7 of 10 rows'" in text
    assert "7 rows for dataset are refused" in text
    assert '"n": 3' in text
    assert "hunter2" not in text


def test_a_repeated_batch_and_columns_that_come_later(bench: Bench) -> None:
    folder = bench.folder()
    rules = (from_text("small", "n < 3", Violation.QUARANTINE), from_text("odd", "n % 2 = 1", Violation.DROP))
    rows = [{"n": number} for number in range(6)]
    writer = bench.open(rules, folder)
    batch = SinkBatch(BatchId(0), [bench.relation(rows)], SCHEMA)
    writer.add_batch(batch)
    writer.add_batch(batch)
    assert (numbers(folder / "table"), numbers(folder / "quarantine")) == ([1], [3, 4, 5])
    assert writer.quality is not None
    assert writer.quality.rows.rows_in == 6
    wider = SCHEMA.append(pa.field("later", pa.list_(pa.string())))
    writer = bench.open(rules, folder, wider)
    more = [{"n": number, "later": [str(number)]} for number in (1, 7)]
    writer.add_batch(SinkBatch(BatchId(1), [bench.relation(more, wider)], wider))
    assert sorted(str(row["later"]) for row in read(folder / "table")) == ["None", "['1']"]
    assert [row["later"] for row in read(folder / "quarantine")] == [None, None, None, ["7"]]
    assert read(folder / "quarantine")[3]["_quarantine"]["id"] == "query-1-0"
