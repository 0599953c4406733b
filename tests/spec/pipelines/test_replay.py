"""Quarantined rows are put through the rules of now: `riacho.pipelines.replay` in the confs of a graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from tests.spec.pipelines.support import Outcome, Project
from tests.spec.pipelines.test_continuous import Continuous, NewSession, until
from tests.spec.support import files, write_json

pytestmark = pytest.mark.riacho_only

ROWS: list[dict[str, Any]] = [
    {"id": 1, "price": 5.0, "name": "a"},
    {"id": 2, "price": -1.0, "name": "b"},
    {"id": 3, "name": "c"},
    {"id": 4, "price": -7.5},
]


@pytest.fixture
def raw(spark: SparkSession, tmp_path: Path) -> Callable[[], None]:
    """A definition: the streaming table `raw` of four rows in one file."""
    write_json(tmp_path / "landing" / "0.json", ROWS)

    def define() -> None:
        @dp.table
        def raw() -> DataFrame:
            return files(spark, tmp_path / "landing", "id BIGINT, price DOUBLE, name STRING")

    return define


def kept(*rules: str) -> str:
    """The table `kept` with these rules, and one that reads it as a stream."""
    listed = "".join(f", CONSTRAINT {rule}" for rule in rules)
    return f"""
        CREATE STREAMING TABLE kept (id BIGINT, price DOUBLE, name STRING{listed}) AS SELECT * FROM STREAM raw;
        CREATE STREAMING TABLE after AS SELECT id FROM STREAM kept;
    """


def positive(violation: str = "ON VIOLATION QUARANTINE ROW", condition: str = "price > 0") -> str:
    return f"positive EXPECT ({condition}) {violation}"


def counts(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What a replay said it did, by the table's last name."""
    told = (event.partition(" has COMPLETED: ") for event in outcome.events)
    return {head.rpartition(".")[2]: read(text) for head, _, text in told if head.startswith("Replay of ")}


def read(text: str) -> dict[str, Any]:
    numbers, _, remark = text.partition("; ")
    found = {name: int(number) for name, number in (part.split(" ") for part in numbers.split(", "))}
    return {**found, "remark": remark}


def replay(project: Project, *definitions: Any, tables: str = "*", rules: str = "", dry: bool = False) -> Outcome:
    conf = {"riacho.pipelines.replay": tables, "riacho.pipelines.replay.rules": rules}
    return project.run(*definitions, conf=conf, dry=dry)


def ids(project: Project, table: str) -> list[int]:
    return sorted(row[0] for row in project.table(table))


def test_an_edited_rule_and_corrected_rows(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    named = "named EXPECT (name IS NOT NULL) ON VIOLATION QUARANTINE ROW"
    assert project.run(raw, kept(positive(), named)).completed
    assert (ids(project, "kept"), ids(project, "kept_quarantine")) == ([1], [2, 3, 4])

    assert counts(replay(project, raw, kept(positive(), named)))["kept"]["stayed"] == 3
    edited = kept(positive(condition="price > -5"), named)
    dry = counts(replay(project, raw, edited, dry=True))["kept"]
    assert (dry["judged"], dry["replayed"], dry["remark"]) == (3, 1, "named: 1, positive: 2")
    assert ids(project, "kept_quarantine") == [2, 3, 4]
    outcome = replay(project, raw, edited)
    assert outcome.completed, outcome.error
    assert counts(outcome)["kept"]["replayed"] == 1
    assert project.table("kept") == [(1, 5.0, "a"), (2, -1.0, "b")]
    assert ids(project, "after") == [1], "a replay runs no flow"

    quarantine = f"{project.database}.kept_quarantine"
    spark.sql(f"UPDATE {quarantine} SET price = 3 WHERE id = 3").collect()
    spark.sql(f"UPDATE {quarantine} SET name = 'd' WHERE id = 4").collect()
    assert counts(replay(project, raw, edited, tables="kept", rules="named"))["kept"]["judged"] == 1
    assert counts(replay(project, raw, edited, tables="kept"))["kept"]["replayed"] == 1
    assert ids(project, "kept") == [1, 2, 3]
    notes = spark.table(quarantine).select("id", "_quarantine.rules", "_quarantine.reason", "_quarantine.batch_id")
    assert [tuple(row) for row in notes.collect()] == [(4, ["positive"], "price > -5", 0)]

    # What was replayed reaches those that read the table as a stream, once.
    assert project.run(raw, edited).completed
    assert project.run(raw, edited).completed
    assert ids(project, "after") == [1, 2, 3]
    assert ids(project, "kept") == [1, 2, 3]


def test_rules_that_drop_fail_or_are_gone(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    assert project.run(raw, kept(positive())).completed
    outcome = replay(project, raw, kept(positive("ON VIOLATION FAIL UPDATE")))
    assert outcome.error is not None
    assert "EXPECTATION_VIOLATION" in str(outcome.error)
    assert any(event.startswith("Replay of ") and "has FAILED" in event for event in outcome.events)
    assert ids(project, "kept_quarantine") == [2, 3, 4]

    some = "some EXPECT (id <> 2) ON VIOLATION DROP ROW"
    told = counts(replay(project, raw, kept(positive("", "price IS NOT NULL"), some)))["kept"]
    assert (told["replayed"], told["dropped"], told["stayed"]) == (2, 1, 0)
    assert ids(project, "kept") == [1, 3, 4]
    assert ids(project, "kept_quarantine") == []
    assert counts(replay(project, raw, kept()))["kept"]["judged"] == 0


def test_names_errors_and_a_table_that_is_gone(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    """A rule is chosen by a name with a comma; a rule that raises an error is named; and no table is no empty one."""
    assert project.run(raw, kept("`a, b` EXPECT (price > 0) ON VIOLATION QUARANTINE ROW")).completed
    raising = kept("fine EXPECT (id > 0)", "raising EXPECT (CAST(name AS INT) > 0)")
    outcome = replay(project, raw, raising)
    assert "[CAST_INVALID_INPUT]" in str(outcome.error)
    assert "the expectation 'raising' (CAST(name AS INT) > 0) of " in str(outcome.error)
    assert ids(project, "kept_quarantine") == [2, 3, 4]

    none = kept("`a, b` EXPECT (id > 2)")
    assert counts(replay(project, raw, none, rules="a, b", dry=True))["kept"]["judged"] == 0, "two rules"
    assert counts(replay(project, raw, none, rules='"a, b"', dry=True))["kept"]["judged"] == 3
    spark.sql(f"DROP TABLE {project.database}.kept").collect()
    told = counts(replay(project, raw, none))["kept"]
    assert (told["judged"], "not there" in told["remark"]) == (0, True)


def test_several_flows_and_a_view(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    text = """
        CREATE STREAMING TABLE two (id BIGINT, CONSTRAINT small EXPECT (id < 3) ON VIOLATION QUARANTINE ROW);
        CREATE FLOW one AS INSERT INTO two BY NAME SELECT id FROM STREAM raw;
        CREATE FLOW other AS INSERT INTO two BY NAME SELECT id + 10 AS id FROM STREAM raw;
        CREATE MATERIALIZED VIEW gold (CONSTRAINT positive EXPECT (price > 0) ON VIOLATION QUARANTINE ROW)
        AS SELECT id, price FROM raw;
    """
    assert project.run(raw, text).completed
    assert ids(project, "two_quarantine") == [3, 4, 11, 12, 13, 14]
    outcome = replay(project, raw, text.replace("id < 3", "id < 13"))
    assert outcome.completed, outcome.error
    assert ids(project, "two") == [1, 2, 3, 4, 11, 12]
    assert "next refresh" in counts(outcome)["gold"]["remark"]
    assert ids(project, "gold_quarantine") == [2, 3, 4]
    wrong = replay(project, raw, text, tables="two, nobody")
    assert "nobody" in str(wrong.error)


def test_rows_arrive_while_replays_go_on(spark: SparkSession, project: Project) -> None:
    base = f"{project.database}.base"
    spark.sql(f"CREATE TABLE {base} (id BIGINT, price DOUBLE, name STRING)").collect()
    raw = f"CREATE STREAMING TABLE raw AS SELECT * FROM STREAM {base};"
    rounds, size = 5, 40
    problems: list[object] = []

    def feed() -> None:
        for number in range(rounds):
            start = number * size
            rows = f"SELECT id, CAST(id % 2 - 1 AS DOUBLE) + 0.5, 'x' FROM range({start}, {start + size})"
            spark.sql(f"INSERT INTO {base} {rows}").collect()
            outcome = project.run(raw, kept(positive()))
            problems.extend([outcome.error] if outcome.error else [])

    feeding = threading.Thread(target=feed)
    feeding.start()
    replayed = 0
    relaxed = raw, kept(positive(condition="price > -5"))
    while feeding.is_alive():
        outcome = replay(project, *relaxed)
        problems.extend([outcome.error] if outcome.error else [])
        replayed += sum(each["replayed"] for each in counts(outcome).values())
    feeding.join(60)
    replayed += counts(replay(project, *relaxed))["kept"]["replayed"]
    assert not problems
    assert ids(project, "kept") == list(range(rounds * size))
    assert ids(project, "kept_quarantine") == []
    assert replayed == rounds * size // 2
    assert project.run(raw, kept(positive())).completed
    assert ids(project, "after") == list(range(rounds * size))


def test_while_a_continuous_update_goes_on(spark: SparkSession, project: Project, new_session: NewSession) -> None:
    spark.sql(f"CREATE TABLE {project.database}.outside (id BIGINT) USING delta").collect()
    continuous = Continuous(project, new_session)
    strict = """
        CREATE STREAMING TABLE kept (id BIGINT, CONSTRAINT even EXPECT (id % 2 = 0) ON VIOLATION QUARANTINE ROW)
        AS SELECT id FROM STREAM outside;
        CREATE STREAMING TABLE after AS SELECT id FROM STREAM kept;
        CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM after;
    """
    relaxed = strict.replace("id % 2 = 0", "id >= 0")
    with continuous.running(strict) as update:
        continuous.insert(0)
        continuous.has("total", (1,))
        for number in range(6):
            continuous.insert(*range(10 * number + 1, 10 * number + 5))
            outcome = replay(project, relaxed)
            assert outcome.completed, outcome.error

        def all_replayed() -> bool:
            replay(project, relaxed)
            return len(project.table("kept")) == 25

        until(all_replayed, "all rows are in kept")
        # What is replayed wakes the flows that read the table.
        continuous.has("total", (25,))
    assert not any("FAILED" in event for event in update.outcome.events)
    assert ids(project, "after") == ids(project, "kept")
    assert ids(project, "kept_quarantine") == []


def test_a_full_refresh_without_the_rule(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    assert project.run(raw, kept(positive())).completed
    assert ids(project, "kept_quarantine") == [2, 3, 4]
    assert project.run(raw, kept(), full_refresh=["kept"]).completed
    assert ids(project, "kept") == [1, 2, 3, 4]
    assert replay(project, raw, kept()).completed
    assert ids(project, "kept") == [1, 2, 3, 4], "what was read again is not replayed besides"
    mine = (
        "CREATE MATERIALIZED VIEW other_quarantine AS SELECT 1 AS id; CREATE MATERIALIZED VIEW other AS SELECT 1 AS id;"
    )
    assert project.run(mine).completed
    assert replay(project, mine).completed, "a table may be called so"
