"""Rows changed at random, over partitions and columns with odd names: all readers see what a plain model says.

After each step riacho's batch read and delta-rs are asked, and the log must remove nothing that is not there; after the
last one a stream of riacho's, and Apache Spark.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(300)

Row = tuple[Any, int, int | None]
EXAMPLES = 10
moment = datetime

KINDS: dict[str, dict[str, Any]] = {
    "STRING": {
        "'two words'": "two words",
        "'50%'": "50%",
        "'50%25'": "50%25",
        "'a/b=c:d'": "a/b=c:d",
        "'ação é'": "ação é",
        "'q\"q'": 'q"q',
        "' lead'": " lead",
        "'x+y&z#?'": "x+y&z#?",
        "''": None,
    },
    "DECIMAL(5, 2)": {
        "-1.50": Decimal("-1.50"),
        "-0.01": Decimal("-0.01"),
        "0": Decimal("0.00"),
        "7.1": Decimal("7.10"),
    },
    "DATE": {"DATE'2024-02-29'": date(2024, 2, 29), "DATE'1900-01-01'": date(1900, 1, 1)},
    "TIMESTAMP": {
        "TIMESTAMP'2024-01-02 03:04:05.000006'": moment(2024, 1, 2, 3, 4, 5, 6),
        "TIMESTAMP'1899-12-31 23:59:59.5'": moment(1899, 12, 31, 23, 59, 59, 500000),
    },
    "TIMESTAMP_NTZ": {
        "TIMESTAMP_NTZ'2024-01-02 03:04:05'": moment(2024, 1, 2, 3, 4, 5),
        "TIMESTAMP_NTZ'2024-01-02 03:04:05.25'": moment(2024, 1, 2, 3, 4, 5, 250000),
    },
    "DOUBLE": {"1.5D": 1.5, "-1e20D": -1e20, "1e-7D": 1e-7},
    "BOOLEAN": {"true": True, "false": False},
    "INT": {"-7": -7, "0": 0},
}
NAMES = ("p", "Größe", "a-b", "100%", "x+y", "Maiúscula")
FEATURES = (
    "",
    "TBLPROPERTIES (delta.enableChangeDataFeed = true)",
    "TBLPROPERTIES (delta.enableDeletionVectors = true)",
    "CHECK",
)


@dataclass(frozen=True)
class Step:
    """A statement, and what it does to the rows of the model. `{t}` and `{p}` are the table and its column."""

    sql: str
    change: Callable[[list[Row]], list[Row]]


@dataclass(frozen=True)
class Case:
    kind: str
    name: str
    feature: str
    steps: list[Step]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(sorted(KINDS)))
    pool = [*KINDS[kind].items(), ("NULL", None)]
    literal = st.sampled_from(pool)
    compared = st.sampled_from([pair for pair in pool if pair[0] != "''"])  # it becomes NULL, and is not equal to it
    ids = itertools.count()

    def insert() -> Step:
        new = [(value, next(ids)) for value in draw(st.lists(literal, min_size=1, max_size=4))]
        values = ", ".join(f"({text}, {number}, {number})" for (text, _), number in new)
        added: list[Row] = [(value, number, number) for (_, value), number in new]
        return Step(f"INSERT INTO {{t}} SELECT * FROM VALUES {values} AS v(p, id, v)", lambda rows: rows + added)

    def update() -> Step:
        modulus = draw(st.integers(1, 3))
        return Step(
            f"UPDATE {{t}} SET v = v + 100 WHERE id % {modulus} = 0",
            lambda rows: [
                (p, i, None if v is None else v + 100) if i % modulus == 0 else (p, i, v) for p, i, v in rows
            ],
        )

    def move() -> Step:
        text, value = draw(literal)
        last = draw(st.integers(0, 12))
        return Step(
            f"UPDATE {{t}} AS x SET x.{{p}} = {text} WHERE x.id < {last}",
            lambda rows: [(value, i, v) if i < last else (p, i, v) for p, i, v in rows],
        )

    def delete() -> Step:
        text, value = draw(compared)
        return Step(f"DELETE FROM {{t}} WHERE {{p}} <=> {text}", lambda rows: [row for row in rows if row[0] != value])

    def delete_some() -> Step:
        text, value = draw(compared)
        at = draw(st.integers(0, 12))
        return Step(
            f"DELETE FROM {{t}} WHERE {{p}} <=> {text} AND id >= {at} OR id = {at}",
            lambda rows: [row for row in rows if not ((row[0] == value and row[1] >= at) or row[1] == at)],
        )

    def merge() -> Step:
        text, value = draw(literal)
        known, new = draw(st.integers(0, 8)), next(ids)

        def change(rows: list[Row]) -> list[Row]:
            kept: list[Row] = [(value, i, -1) if i == known else (p, i, v) for p, i, v in rows]
            added: list[Row] = [(value, i, -1) for i in {known, new} if i not in {row[1] for row in rows}]
            return kept + added

        source = f"(SELECT {text} AS {{p}}, id, -1 AS v FROM VALUES ({known}), ({new}) AS s(id) GROUP BY id) s"
        return Step(
            f"MERGE INTO {{t}} t USING {source} ON t.id = s.id WHEN MATCHED THEN UPDATE SET * "
            "WHEN NOT MATCHED THEN INSERT *",
            change,
        )

    def clear() -> Step:
        text, value = draw(compared)
        return Step(
            f"MERGE INTO {{t}} t USING (SELECT 3 AS id) s ON t.id = s.id "
            f"WHEN NOT MATCHED BY SOURCE AND t.{{p}} <=> {text} THEN UPDATE SET v = NULL",
            lambda rows: [(p, i, None) if p == value and i != 3 else (p, i, v) for p, i, v in rows],
        )

    def compact() -> Step:
        return Step("OPTIMIZE {t}", list)

    makers = (insert, update, move, delete, delete_some, merge, clear, compact)
    chosen = draw(st.lists(st.sampled_from(makers), min_size=3, max_size=7))
    return Case(
        kind, draw(st.sampled_from(NAMES)), draw(st.sampled_from(FEATURES)), [insert(), *(make() for make in chosen)]
    )


numbers = itertools.count()


@given(case=cases())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_all_readers_agree(
    case: Case, sessions: dict[str, SparkSession], tmp_path_factory: pytest.TempPathFactory
) -> None:
    riacho, apache = sessions["riacho"], sessions["spark"]
    folder = tmp_path_factory.mktemp("t") / "t"
    table, column = f"changed_{next(numbers)}", f"`{case.name}`"
    checked = case.feature == "CHECK"
    riacho.sql(
        f"CREATE TABLE {table} ({column} {case.kind}, id INT, v INT) USING delta PARTITIONED BY ({column}) "
        f"LOCATION '{folder}' {'' if checked else case.feature}"
    )
    if checked:
        riacho.sql(f"ALTER TABLE {table} ADD CONSTRAINT ids CHECK (id >= 0)")
    model: list[Row] = []
    expected: list[Any] = []
    for step in case.steps:
        riacho.sql(step.sql.format(t=table, p=column))
        model = step.change(model)
        expected = ordered(model)
        assert ordered(map(tuple, riacho.table(table).collect())) == expected, step.sql
        assert ordered(through_delta_rs(folder)) == expected, step.sql
    require_sound(folder)
    query = riacho.readStream.table(table).writeStream.format("memory").queryName(f"seen_{table}")
    running = query.option("checkpointLocation", str(folder.parent / "c")).trigger(availableNow=True).start()
    assert running.awaitTermination(60)
    assert ordered(map(tuple, riacho.table(f"seen_{table}").collect())) == expected
    assert ordered(map(tuple, apache.read.format("delta").load(str(folder)).collect())) == expected
    riacho.sql(f"DROP TABLE {table}")


def ordered(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(plain, row)) for row in rows), key=repr)


def plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def through_delta_rs(folder: Path) -> list[tuple[Any, ...]]:
    rows = pa.table(QueryBuilder().register("t", DeltaTable(folder)).execute("SELECT * FROM t").read_all())
    return list(zip(*(column.to_pylist() for column in rows.itercolumns()), strict=True))


def require_sound(folder: Path) -> None:
    """Every file that a version removes was in the table."""
    held: set[str] = set()
    for commit in sorted((folder / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        removed = {action["remove"]["path"] for action in actions if "remove" in action}
        assert removed <= held, f"{commit.name} removes what is not there"
        held = (held - removed) | {action["add"]["path"] for action in actions if "add" in action}


def test_deletion_vectors_that_spark_made(sessions: dict[str, SparkSession], tmp_path: Path) -> None:
    """Rows that are masked out stay out, whoever rewrites their files."""
    riacho, apache = sessions["riacho"], sessions["spark"]
    folder = tmp_path / "t"
    riacho.sql(
        "CREATE TABLE masked (g STRING, id INT, v INT) USING delta PARTITIONED BY (g) "
        f"LOCATION '{folder}' TBLPROPERTIES (delta.enableDeletionVectors = true)"
    )
    riacho.range(40).selectExpr("IF(id % 2 = 0, 'a b', '50%')", "CAST(id AS INT)", "0").write.insertInto("masked")
    apache.sql(f"DELETE FROM delta.`{folder}` WHERE id % 4 = 1")
    assert riacho.sql("UPDATE masked SET v = 1 WHERE id < 8").collect() == [(6,)]
    apache.sql(f"DELETE FROM delta.`{folder}` WHERE id % 8 = 0")
    assert riacho.sql("DELETE FROM masked WHERE id = 2 OR id > 30").collect() == [(7,)]
    riacho.sql(
        "MERGE INTO masked t USING (SELECT 3 AS id UNION ALL SELECT 1) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET v = 3 WHEN NOT MATCHED THEN INSERT (g, id, v) VALUES ('new', s.id, 9)"
    )
    left = [i for i in range(31) if i % 4 != 1 and i % 8 and i != 2]
    expected = sorted([(i, 3 if i == 3 else int(i < 8)) for i in left] + [(1, 9)])
    for session in (riacho, apache):
        found = session.read.format("delta").load(str(folder)).select("id", "v").collect()
        assert sorted(map(tuple, found)) == expected
    riacho.sql("DROP TABLE masked")
