"""The row ledger: where each row of a flow's batches went, adding up, and as plain Python counts it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

pytestmark = pytest.mark.riacho_only

Event = dict[str, Any]
COLUMNS = "id BIGINT, k STRING, minute INT"
TIME = "timestamp_seconds(60L * minute) AS ts"
_numbers = count()


@dataclass(frozen=True)
class Flow:
    """A flow and, in plain Python, how many of a batch's rows go where; see `expected`."""

    name: str
    sql: str
    balance: str = "BALANCED"


FLOWS = (
    Flow("plain", "SELECT id, upper(k) AS k, minute FROM STREAM raw"),
    Flow("some", "SELECT * FROM STREAM raw WHERE minute > 3"),
    Flow("twice", "SELECT id, k, minute FROM STREAM raw UNION ALL SELECT id, k, minute FROM STREAM raw"),
    Flow("strict", "SELECT id, k, minute FROM STREAM raw"),
    Flow("parts", "SELECT explode(array(id, id)) AS id, k, minute FROM STREAM raw", "SINK_BALANCED"),
)
RULES = """
    CONSTRAINT told EXPECT (minute < 9),
    CONSTRAINT early EXPECT (minute < 7) ON VIOLATION DROP ROW,
    CONSTRAINT named EXPECT (k <> 'bad') ON VIOLATION QUARANTINE ROW
"""


def fate(row: Mapping[str, Any]) -> str:
    """What the rules make of a row: of several, quarantine wins over drop."""
    if row["k"] is None or row["k"].lower() == "bad":
        return "quarantined"
    return "dropped" if row["minute"] is None or row["minute"] >= 7 else "out"


def given_rows(flow: str, rows: Sequence[Event]) -> list[Event]:
    """The rows that a flow's query gives for those of a batch."""
    match flow:
        case "some":
            return [row for row in rows if row["minute"] is not None and row["minute"] > 3]
        case "twice" | "parts":
            return [*rows, *rows]
        case "strict":
            return list(rows)
        case "plain":
            return [{**row, "k": row["k"] and row["k"].upper()} for row in rows]
    raise AssertionError(flow)


def expected(flow: str, rows: Sequence[Event], *, rules: bool) -> dict[str, int]:
    given = given_rows(flow, rows)
    fates = Counter(fate(row) if rules and flow != "plain" else "out" for row in given)
    found = {name: fates[name] for name in ("out", "dropped", "quarantined")}
    read = len(rows) * (2 if flow == "twice" else 1)
    return {"rows_in": read, **found, "late": 0, "duplicate": 0, "filtered": read - len(given) if flow == "some" else 0}


def expected_of_first(rows: Sequence[Event]) -> dict[str, int]:
    """What dropDuplicates makes of all rows."""
    ids = {row["id"] for row in rows}
    return {**expected("plain", rows, rules=False), "out": len(ids), "duplicate": len(rows) - len(ids)}


def definitions(spark: SparkSession, landing: Path, *, rules: bool, strict: bool) -> list[Any]:
    def raw() -> None:
        @dp.table(name="raw")
        def _raw() -> DataFrame:
            reader = spark.readStream.schema(COLUMNS).option("maxFilesPerTrigger", 1)
            return reader.json(str(landing))

    def first() -> None:
        @dp.table(name="first")
        def _first() -> DataFrame:
            return spark.readStream.table("raw").dropDuplicates(["id"])

        @dp.table(name="itself")
        def _itself() -> DataFrame:
            raw = spark.readStream.table("raw")
            return raw.unionAll(raw)

    tables = []
    for flow in FLOWS:
        texts = [RULES] if rules and flow.name != "plain" else []
        if strict and flow.name == "strict":
            texts.append("CONSTRAINT never EXPECT (minute < 10) ON VIOLATION FAIL UPDATE")
        columns = f"({', '.join(texts)})" if texts else ""
        tables.append(f"CREATE STREAMING TABLE {flow.name} {columns} AS {flow.sql}")
    return [raw, first, ";\n".join(tables)]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 5),
            "k": st.sampled_from(["a", "b", "bad", None]),
            "minute": st.one_of(st.none(), st.integers(0, 10)),
        }
    ),
    max_size=8,
)


def ledgers(project: Project) -> dict[tuple[str, int], Row]:
    rows = project.spark.sql(f"SELECT * FROM delta.`{project.storage}/system/events` WHERE origin.flow_id IS NOT NULL")
    found = {(row.origin.flow_name.rpartition(".")[2], row.origin.batch_id): row for row in rows.collect()}
    assert len(found) == rows.count(), "a batch has more than one event"
    return found


@given(st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1, max_size=2), st.booleans(), st.booleans())
@settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate)
)
def test_it_is_what_plain_python_counts(
    project: Project, runs: list[list[list[Event]]], rules: bool, strict: bool
) -> None:
    base = project.storage.parent / f"example{next(_numbers)}"
    own = Project(project.spark, project.database, base / "storage")
    batches: list[list[Event]] = []
    for name in (
        "raw",
        "first",
        "itself",
        *(flow.name for flow in FLOWS),
        *(f"{flow.name}_quarantine" for flow in FLOWS),
    ):
        own.spark.sql(f"DROP TABLE IF EXISTS {own.database}.{name}")
    for files in runs:
        for rows in files:
            write_json(base / "landing" / f"{len(batches):03}.json", rows)
            batches.append(rows)
        if strict:
            # A batch that a rule refuses is not committed: it has no event, and runs again below.
            refused = any(row["minute"] is None or row["minute"] >= 10 for rows in files for row in rows)
            outcome = own.run(*definitions(own.spark, base / "landing", rules=rules, strict=True))
            assert outcome.completed is not refused, (outcome.events, outcome.error)
        outcome = own.run(*definitions(own.spark, base / "landing", rules=rules, strict=False))
        assert outcome.completed, (outcome.events, outcome.error)

    found = ledgers(own)
    raw = [found[key] for key in sorted(found) if key[0] == "raw"]
    assert [ledger_of(row)["out"] for row in raw] == [len(rows) for rows in batches]
    flat = [row for rows in batches for row in rows]
    for flow in FLOWS:
        checked = rules and flow.name != "plain"
        balance = flow.balance if checked or flow.balance == "BALANCED" else "UNCHECKED"
        total = summed([row for key, row in found.items() if key[0] == flow.name], balance)
        assert total == expected(flow.name, flat, rules=rules), flow.name
        assert own.spark.table(f"{own.database}.{flow.name}").count() == total["out"]
        if checked and total["quarantined"]:
            assert own.spark.table(f"{own.database}.{flow.name}_quarantine").count() == total["quarantined"]
    assert summed([row for key, row in found.items() if key[0] == "first"], "BALANCED") == expected_of_first(flat)
    twice = expected("twice", flat, rules=False)
    assert summed([row for key, row in found.items() if key[0] == "itself"], "BALANCED") == twice


def summed(events: Sequence[Row], balance: str) -> dict[str, int]:
    """The figures of all batches of a flow, each of which is in that balance."""
    names = expected("plain", [], rules=False)
    total = dict.fromkeys(names, 0)
    for event in events:
        ledger = ledger_of(event)
        assert (ledger["balance"], event.level) == (balance, "METRICS"), (event.message, ledger["why"])
        for name in names:
            total[name] += ledger["figures"].get(name, 0) if name == "filtered" else ledger[name]
    return total


def ledger_of(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.details)["flow_progress"]["row_ledger"]
    return found


def test_flows_that_keep_state_join_and_change_rows(spark: SparkSession, project: Project, tmp_path: Path) -> None:
    """What is not row by row has figures of its own, and what reaches a sink with rules adds up all the same."""
    landing = tmp_path / "landing"
    batches: list[list[Event]] = [
        [{"id": 1, "k": "a", "minute": 10}, {"id": 2, "k": "b", "minute": 30}, {"id": 1, "k": "a", "minute": 11}],
        [{"id": 3, "k": "a", "minute": 1}, {"id": 2, "k": "b", "minute": 31}, {"id": 4, "k": None, "minute": 32}],
        [{"id": 5, "k": "a", "minute": 2}, {"id": 6, "k": "b", "minute": 60}],
    ]
    for number, rows in enumerate(batches):
        write_json(landing / f"{number}.json", rows)
    spark.sql(f"CREATE TABLE {project.database}.dim AS SELECT 'a' AS k, 'A' AS name")

    def flows() -> None:
        def timed() -> DataFrame:
            reader = spark.readStream.schema(COLUMNS).option("maxFilesPerTrigger", 1)
            return reader.json(str(landing)).selectExpr("*", TIME).withWatermark("ts", "5 minutes")

        @dp.append_flow(target="first")
        def first_flow() -> DataFrame:
            return timed().dropDuplicatesWithinWatermark(["id"])

        @dp.append_flow(target="windows")
        def windows_flow() -> DataFrame:
            return timed().groupBy(F.window("ts", "10 minutes")).count()

        @dp.append_flow(target="joined")
        def joined_flow() -> DataFrame:
            return timed().join(spark.table("dim"), "k")

    rule = "CONSTRAINT {} EXPECT ({}) ON VIOLATION DROP ROW"
    text = f"""
        CREATE STREAMING TABLE first;
        CREATE STREAMING TABLE windows ({rule.format("several", "count > 1")});
        CREATE STREAMING TABLE joined ({rule.format("late", "minute > 5")});
        CREATE STREAMING TABLE newest;
        CREATE FLOW changes AS AUTO CDC INTO newest FROM STREAM first KEYS (k) SEQUENCE BY minute;
    """
    outcome = project.run(flows, text)
    assert outcome.error is not None, "a key of AUTO CDC is NULL"
    text = text.replace("FROM STREAM first", "FROM STREAM first_named")
    text += "CREATE TEMPORARY VIEW first_named AS SELECT * FROM STREAM first WHERE k IS NOT NULL;"
    outcome = project.run(flows, text)
    assert outcome.completed, (outcome.events, outcome.error)

    found = ledgers(project)
    names = ("rows_in", "out", "dropped", "late", "duplicate", "balance")
    told = {
        flow: [tuple(ledger_of(found[key])[name] for name in names) for key in sorted(found) if key[0] == flow]
        for flow in ("first_flow", "windows_flow", "joined_flow", "changes")
    }
    # The watermark is at 25 minutes after the first batch, and drops late rows from the third on.
    assert told["first_flow"][:3] == [
        (3, 2, 0, 0, 1, "BALANCED"),
        (3, 2, 0, 0, 1, "BALANCED"),
        (2, 1, 0, 1, 0, "BALANCED"),
    ]
    assert all(balance == "SINK_BALANCED" for *_, balance in told["windows_flow"] + told["joined_flow"])
    assert [(rows_in, out, dropped) for rows_in, out, dropped, *_ in told["joined_flow"]] == [
        (3, 2, 0), (3, 0, 1), (2, 0, 1),
    ]  # fmt: skip
    assert sum(dropped + out for _, out, dropped, *_ in told["windows_flow"]) >= 2
    assert {balance for *_, balance in told["changes"]} == {"BALANCED"}
    changes = [ledger_of(found[key]) for key in sorted(found) if key[0] == "changes"]
    assert sum(each["rows_in"] for each in changes) == 5
    assert sum(each["figures"]["filtered"] for each in changes) == 1
    assert sum(each["out"] + each["late"] + each["duplicate"] for each in changes) == 4
    assert (
        sum(each["figures"]["upserted"] for each in changes)
        >= project.spark.table(f"{project.database}.newest").count()
    )
