"""Replays of quarantined rows: who passes goes into the table once, whatever happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.errors import SparkError
from riacho.server.graph.replay.commits import ReplayTables
from riacho.server.graph.replay.run import FlowRules
from riacho.server.streaming.quality import Expectation, Violation
from tests.engine.server.graph.replay_support import (
    QUARANTINE,
    ROW,
    TARGET,
    Cut,
    CutOffError,
    QuarantinedTable,
    rule,
)

FEED = {"delta.enableChangeDataFeed": "true"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuarantinedTable]:
    tables = QuarantinedTable(tmp_path_factory.mktemp("warehouse"))
    yield tables
    tables.close()


@pytest.fixture
def tables(opened: QuarantinedTable) -> QuarantinedTable:
    opened.make()
    return opened


def row(number: int, a: int | None = None, b: str | None = "x") -> dict[str, Any]:
    return {"id": number, "a": a, "b": b}


def test_rows_that_pass_go_into_the_table_and_the_others_stay_with_a_fresh_reason(tables: QuarantinedTable) -> None:
    tables.quarantine([row(1, 5), row(2, -5), row(3, None), row(4, 7, None)])
    counts = tables.replay([rule("positive", "a > 0"), rule("named", "b IS NOT NULL")])
    assert (counts.judged, counts.replayed, counts.stayed, counts.dropped) == (4, 1, 3, 0)
    assert counts.broken == {"positive": 2, "named": 1}
    assert tables.rows(TARGET) == [row(1, 5)]
    left = {each["id"]: each["_quarantine"] for each in tables.rows(QUARANTINE)}
    assert {number: (why["rules"], why["reason"]) for number, why in left.items()} == {
        2: (["positive"], "a > 0"), 3: (["positive"], "a > 0"), 4: (["named"], "b IS NOT NULL"),
    }  # fmt: skip
    assert all((why["source"], why["batch_id"], why["replay"]) == ("/landing/1", 3, None) for why in left.values())
    # Nothing has changed since, so nothing is written.
    before = tables.versions(QUARANTINE), tables.versions(TARGET)
    assert tables.replay([rule("positive", "a > 0"), rule("named", "b IS NOT NULL")]).stayed == 3
    assert (tables.versions(QUARANTINE), tables.versions(TARGET)) == before
    # Without rules all of them pass.
    assert tables.replay([]).replayed == 3
    assert tables.ids(TARGET) == [1, 2, 3, 4]
    assert tables.ids(QUARANTINE) == []


def test_rules_with_another_outcome(tables: QuarantinedTable) -> None:
    tables.quarantine([row(1, 5), row(2, -5), row(3, -6, None)])
    with pytest.raises(SparkError, match="positive"):
        tables.replay([rule("positive", "a > 0", Violation.FAIL)])
    assert tables.ids(QUARANTINE) == [1, 2, 3]
    dry = tables.replay([rule("positive", "a > 0", Violation.DROP)], dry=True)
    assert (dry.replayed, dry.dropped) == (1, 2)
    assert tables.ids(QUARANTINE) == [1, 2, 3]
    rules = [rule("positive", "a > 0", Violation.DROP), rule("named", "b IS NOT NULL")]
    counts = tables.replay(rules)
    assert (counts.replayed, counts.dropped, counts.stayed) == (1, 1, 1), "what is to be kept is not dropped"
    assert tables.rows(QUARANTINE)[0]["_quarantine"]["rules"] == ["positive", "named"]
    assert tables.replay([rule("positive", "a > 0", Violation.WARN)]).replayed == 1
    assert tables.ids(TARGET) == [1, 3]


def test_only_rows_that_broke_a_rule(tables: QuarantinedTable) -> None:
    tables.quarantine([row(1), row(2)], ["one", "two"])
    tables.quarantine([row(3)], ["three"])
    assert tables.replay([], only=["TWO", "four"]).replayed == 2
    assert tables.ids(TARGET) == [1, 2]
    assert tables.ids(QUARANTINE) == [3]


def test_each_flow_has_rules_of_its_own(tables: QuarantinedTable) -> None:
    tables.quarantine([row(1, 1), row(2, 2)], flow="spark_catalog.default.one")
    tables.quarantine([row(3, 1), row(4, 2)], flow="spark_catalog.default.two")
    tables.quarantine([row(5, 1), row(6, 2)], flow="spark_catalog.default.gone")
    flows = [
        FlowRules("spark_catalog.default.one", ROW, (rule("r", "a = 1"),)),
        FlowRules("spark_catalog.default.two", ROW, (rule("s", "a = 2"),)),
    ]
    assert tables.replay_of(flows).replayed == 2
    assert tables.ids(TARGET) == [1, 4]


def test_columns_may_have_changed_since(tables: QuarantinedTable) -> None:
    tables.quarantine([row(1, 5), row(2, 6)])
    now = pa.schema([("A", pa.string()), ("id", pa.int64()), ("since", pa.string())])
    counts = tables.replay([rule("r", "a LIKE '5%' AND since IS NULL")], schema=now)
    assert counts.replayed == 1
    assert tables.rows(TARGET) == [row(1, 5)]


@pytest.mark.parametrize("commit", range(3))
@pytest.mark.parametrize("behind", [False, True])
def test_a_replay_that_is_cut_off_is_finished_by_the_next(tables: QuarantinedTable, commit: int, behind: bool) -> None:
    tables.make(both=FEED)
    tables.quarantine([row(number, number % 2) for number in range(6)])
    rules = [rule("odd", "a = 1")]
    with Cut(commit, behind).armed():
        try:
            tables.replay(rules)
        except CutOffError:
            cut = True
        else:
            cut = False
    assert cut == (not behind or commit < 2)
    counts = tables.replay(rules)
    assert tables.ids(TARGET) == [1, 3, 5]
    assert tables.ids(QUARANTINE) == [0, 2, 4]
    assert counts.replayed + counts.finished == (0 if not cut else 3)
    assert inserted(tables) == [1, 3, 5]


def inserted(tables: QuarantinedTable) -> list[int]:
    """What the change feed of the target says came in."""
    reader = DeltaTable(str(tables.table(TARGET).location)).load_cdf(starting_version=0)
    return sorted(pa.table(reader.read_all())["id"].to_pylist())


def test_a_table_that_refuses_the_rows_does_not_hold_them_for_ever(tables: QuarantinedTable) -> None:
    tables.make(target={"delta.constraints.small": "a < 10"})
    tables.quarantine([row(1, 5), row(2, 50)])
    with pytest.raises(SparkError, match="small"):
        tables.replay([])
    assert tables.ids(TARGET) == []
    assert [each["_quarantine"]["replay"] for each in tables.rows(QUARANTINE)] == [None, None]
    # Cut off after it was given up: the rows are not taken for appended ones.
    with Cut(1, behind=True).armed(), pytest.raises(CutOffError):
        tables.replay([])
    assert all(each["_quarantine"]["replay"] for each in tables.rows(QUARANTINE))
    assert tables.replay([rule("small", "a < 10")]).replayed == 1
    assert (tables.ids(TARGET), tables.ids(QUARANTINE)) == ([1], [2])


def test_replays_at_the_same_time(tables: QuarantinedTable) -> None:
    for number in range(8):
        tables.quarantine([row(number, number), row(100 + number, number)])
    errors: list[BaseException] = []

    def work(only: list[str]) -> None:
        try:
            for _ in range(2):
                tables.replay([], only=only)
        except BaseException as error:  # noqa: BLE001 - for the assertion
            errors.append(error)

    threads = [threading.Thread(target=work, args=([],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert tables.ids(TARGET) == sorted([*range(8), *range(100, 108)])
    assert tables.ids(QUARANTINE) == []


def test_rows_arrive_while_a_replay_goes_on(tables: QuarantinedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.quarantine([row(1, 1), row(2, -1)])
    arrived = iter(range(10, 100))
    append = ReplayTables._append

    def meanwhile(self: ReplayTables, number: int) -> None:
        tables.quarantine([row(next(arrived), 1)])
        append(self, number)
        tables.quarantine([row(next(arrived), 1)])

    monkeypatch.setattr(ReplayTables, "_append", meanwhile)
    assert tables.replay([rule("r", "a > 0")]).replayed == 1
    assert tables.ids(QUARANTINE) == [2, 10, 11]
    monkeypatch.undo()
    assert tables.replay([rule("r", "a > 0")]).replayed == 2
    assert tables.ids(TARGET) == [1, 10, 11]


ACTIONS = st.sampled_from([Violation.QUARANTINE, Violation.QUARANTINE, Violation.DROP, Violation.WARN])
RULES = st.lists(st.tuples(st.integers(-2, 2), ACTIONS), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.lists(st.one_of(st.none(), st.integers(-2, 2)), min_size=1, max_size=4)),
        st.tuples(st.just("correct"), st.integers(-2, 2)),
        st.tuples(st.just("replay"), RULES, st.none() | st.tuples(st.integers(0, 3), st.booleans())),
    ),
    max_size=6,
)


def broken(value: int | None, rules: list[tuple[int, Violation]], action: Violation) -> bool:
    return any(each == action and not (value is not None and value >= least) for least, each in rules)


@given(steps=STEPS)
@settings(max_examples=25)
def test_each_row_is_in_one_place_whatever_happens(opened: QuarantinedTable, steps: list[tuple[Any, ...]]) -> None:
    opened.make(both=FEED)
    values: dict[int, int | None] = {}
    may_be_dropped: set[int] = set()
    for kind, what, *cut in [*steps, ("replay", [], None)]:
        if kind == "arrive":
            rows = [row(len(values) + place, value) for place, value in enumerate(what)]
            values |= {each["id"]: each["a"] for each in rows}
            opened.quarantine(rows)
            continue
        if kind == "correct":
            DeltaTable(str(opened.table(QUARANTINE).location)).update(
                updates={"a": str(what)}, predicate="a IS NULL OR a < 0"
            )
            there = set(opened.ids(QUARANTINE))
            values |= {
                number: what for number, value in values.items() if number in there and (value is None or value < 0)
            }
            continue
        before = set(opened.ids(TARGET)), set(opened.ids(QUARANTINE))
        rules: list[Expectation] = [
            rule(f"r{place}", f"a >= {least}", then) for place, (least, then) in enumerate(what)
        ]
        drops = {
            number
            for number in before[1]
            if broken(values[number], what, Violation.DROP) and not broken(values[number], what, Violation.QUARANTINE)
        }
        may_be_dropped |= drops
        if cut[0] is None:
            opened.replay(rules)
            stay = {number for number in before[1] if broken(values[number], what, Violation.QUARANTINE)}
            unmarked = set(opened.ids(QUARANTINE))
            # What a replay that was cut off had taken passed the rules of that time, and is not judged again.
            assert unmarked <= stay
            assert all(not each["_quarantine"]["replay"] for each in opened.rows(QUARANTINE))
        else:
            with Cut(*cut[0]).armed(), suppress(CutOffError):
                opened.replay(rules)
        target, waiting = opened.ids(TARGET), opened.ids(QUARANTINE)
        assert len(set(target)) == len(target), "a row is there twice"
        assert len(set(waiting)) == len(waiting)
        missing = set(values) - set(target) - set(waiting)
        assert missing <= may_be_dropped, "a row is lost"
        assert {each["id"]: each["a"] for each in opened.rows(TARGET)}.items() <= values.items()
    assert opened.ids(QUARANTINE) == []
    assert inserted(opened) == opened.ids(TARGET)
