"""Delta tables that are named by their path, and tables as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import rows


def condition(read: Callable[[], object]) -> str | None:
    """The class of the error that this raises."""
    with pytest.raises(PySparkException) as raised:
        read()
    return raised.value.getCondition()


@pytest.fixture
def path(spark: SparkSession, tmp_path: Path) -> str:
    """A table of 0, 1 and 2, at a path with capitals and a blank."""
    folder = str(tmp_path / "Tab One")
    spark.range(3).coalesce(1).write.format("delta").save(folder)
    return folder


def test_properties_and_columns_of_a_path(spark: SparkSession, path: str) -> None:
    name = f"delta.`{path}`"
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('a.b' = '1', 'delta.appendOnly' = 'false')")
    assert rows(spark.sql(f"SHOW TBLPROPERTIES {name} ('a.b')")) == [("a.b", "1")]
    spark.sql(f"ALTER TABLE {name} UNSET TBLPROPERTIES IF EXISTS ('a.b', 'nope')")
    assert [row["key"] for row in spark.sql(f"SHOW TBLPROPERTIES delta.`file:{path}`").collect()] == [
        "delta.appendOnly",
        "delta.minReaderVersion",
        "delta.minWriterVersion",
    ]
    spark.sql(f"ALTER TABLE {name} ADD COLUMNS (Name STRING COMMENT 'x', n INT)")
    spark.sql(f"ALTER TABLE {name} ALTER COLUMN name COMMENT 'why'")
    spark.sql(f"COMMENT ON TABLE {name} IS 'a comment'")
    spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT pos CHECK (id >= 0)")
    spark.sql(f"ALTER TABLE {name} DROP CONSTRAINT pos")
    assert rows(spark.sql(f"DESCRIBE {name}")) == [
        ("Name", "string", "why"),
        ("id", "bigint", None),
        ("n", "int", None),
    ]
    assert rows(spark.sql(f"SHOW COLUMNS IN {name}")) == [("Name",), ("id",), ("n",)]
    detail = spark.sql(f"DESCRIBE DETAIL '{path}'").collect()[0]
    assert (detail["name"], detail["description"], detail["location"]) == (None, "a comment", f"file:{path}")
    assert spark.sql(f"DESCRIBE HISTORY '{path}' LIMIT 1").collect() == spark.sql(
        f"DESCRIBE HISTORY {name} LIMIT 1"
    ).collect()  # fmt: skip
    assert spark.catalog.tableExists(name)
    assert [column.name for column in spark.catalog.listColumns(name)] == ["id", "Name", "n"]


def test_rows_of_a_path(spark: SparkSession, path: str) -> None:
    name = f"delta.`{path}`"
    spark.sql(f"INSERT INTO {name} VALUES (10), (11)")
    spark.sql(f"INSERT INTO {name} (id) VALUES (12)")
    spark.sql(f"UPDATE {name} AS t SET t.id = 20 WHERE t.id = 10")
    spark.sql(f"DELETE FROM {name} WHERE id < 2")
    spark.sql(
        f"MERGE INTO {name} AS t USING (SELECT 11L AS id) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 21"
    )
    assert rows(spark.table(name)) == [(12,), (2,), (20,), (21,)]


def test_upkeep_of_a_path(spark: SparkSession, path: str) -> None:
    name = f"delta.`{path}`"
    spark.conf.set("spark.sql.shuffle.partitions", "2")  # Spark's VACUUM takes as many tasks for one folder
    spark.sql(f"INSERT INTO {name} VALUES (10), (11)")
    assert spark.sql(f"OPTIMIZE '{path}'").collect()[0]["path"] == f"file:{path}"
    assert rows(spark.sql(f"VACUUM {name}")) == [(f"file:{path}",)]


def test_a_path_as_it_was_and_emptied(spark: SparkSession, path: str) -> None:
    name = f"delta.`{path}`"
    spark.sql(f"INSERT INTO {name} VALUES (10), (11)")
    assert rows(spark.read.format("delta").load(f"{path}@v0")) == [(0,), (1,), (2,)]
    assert condition(lambda: spark.read.format("delta").load(f"{path}@v33").collect()) == "DELTA_VERSION_NOT_FOUND"
    spark.sql(f"RESTORE TABLE {name} TO VERSION AS OF 0")
    assert rows(spark.table(name)) == [(0,), (1,), (2,)]
    spark.sql(f"TRUNCATE TABLE {name}")
    assert rows(spark.sql(f"TABLE {name}")) == []


def test_a_path_is_made_and_dropped(spark: SparkSession, tmp_path: Path) -> None:
    name, other = f"delta.`{tmp_path}/New`", f"delta.`{tmp_path}/Other`"
    spark.sql(f"CREATE TABLE {name} (id INT) USING delta")
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} (id INT) USING delta")
    assert condition(lambda: spark.sql(f"CREATE TABLE {name} (id INT) USING delta")) == "TABLE_OR_VIEW_ALREADY_EXISTS"
    spark.sql(f"CREATE TABLE {other} USING delta AS SELECT 1 AS a")
    spark.sql(f"CREATE OR REPLACE TABLE {other} USING delta AS SELECT 2 AS b")
    assert spark.table(other).collect()[0].asDict() == {"b": 2}
    spark.sql(f"DROP TABLE {other}")
    assert (tmp_path / "New" / "_delta_log").is_dir()
    assert (tmp_path / "Other" / "_delta_log").is_dir()


@pytest.mark.parametrize("made", [False, True])
def test_a_path_without_a_table(spark: SparkSession, tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "Nope"
    if made:
        folder.mkdir()
    name = f"delta.`{folder}`"
    for statement in (
        "ALTER TABLE {} SET TBLPROPERTIES ('a' = '1')",
        "SHOW TBLPROPERTIES {}",
        "ALTER TABLE {} ADD COLUMNS (z INT)",
        "DESCRIBE {}",
        "DESCRIBE DETAIL {}",
        "OPTIMIZE {}",
        "TRUNCATE TABLE {}",
    ):
        assert condition(lambda: spark.sql(statement.format(name))) == "DELTA_MISSING_DELTA_TABLE"  # noqa: B023
    for statement in ("INSERT INTO {} VALUES (1)", "INSERT INTO {} BY NAME SELECT 1 AS id", "DELETE FROM {}"):
        found = condition(lambda: spark.sql(statement.format(name)))  # noqa: B023
        assert found == ("DELTA_TABLE_NOT_FOUND" if made else "PATH_NOT_FOUND")
    assert condition(lambda: spark.sql(f"DROP TABLE {name}")) == "TABLE_OR_VIEW_NOT_FOUND"
    assert not (folder / "_delta_log").exists()


def test_versions_that_are_not_there(spark: SparkSession, path: str) -> None:
    name = f"delta.`{path}`"

    def read(**options: str) -> object:
        return spark.read.format("delta").options(**options).load(path).collect()

    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: read(versionAsOf="33"), "DELTA_VERSION_NOT_FOUND"),
        (lambda: read(versionAsOf="x"), "DELTA_TIME_TRAVEL_INVALID_BEGIN_VALUE"),
        (lambda: read(timestampAsOf="2001-01-01"), "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"),
        (lambda: read(timestampAsOf="2101-01-01"), "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"),
        (lambda: read(timestampAsOf="x"), "DELTA_TIMESTAMP_INVALID"),
        (lambda: read(versionAsOf="0", timestampAsOf="2101-01-01"), "DELTA_ONEOF_IN_TIMETRAVEL"),
        (lambda: spark.sql(f"SELECT * FROM {name} VERSION AS OF 33").collect(), "DELTA_VERSION_NOT_FOUND"),
        (
            lambda: spark.sql(f"SELECT * FROM {name} TIMESTAMP AS OF '2101-01-01' AS t").collect(),
            "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
        ),
        (
            lambda: spark.sql(f"SELECT * FROM {name} FOR TIMESTAMP AS OF '2001-01-01 00:00:00'").collect(),
            "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
        ),
        (lambda: spark.sql(f"RESTORE {name} TO VERSION AS OF 33"), "DELTA_CANNOT_RESTORE_TABLE_VERSION"),
        (
            lambda: spark.sql(f"RESTORE {name} TO TIMESTAMP AS OF '2001-01-01'"),
            "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER",
        ),
        (
            lambda: spark.sql(f"RESTORE {name} TO TIMESTAMP AS OF '2101-01-01'"),
            "DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER",
        ),
        (lambda: spark.sql(f"RESTORE {name} TO TIMESTAMP AS OF 'x'"), "DELTA_TIMESTAMP_INVALID"),
    ]
    for attempt, expected in attempts:
        assert condition(attempt) == expected


def test_a_timestamp_is_in_the_sessions_zone(spark: SparkSession, database: str) -> None:
    name = f"{database}.t"
    spark.sql(f"CREATE TABLE {name} USING delta AS SELECT 1 AS id")
    made = spark.sql(f"DESCRIBE HISTORY {name}").selectExpr("date_format(timestamp, 'yyyy-MM-dd HH:mm:ss.SSS')").first()
    assert made is not None
    spark.sql(f"INSERT INTO {name} VALUES (2)")
    reads: list[Callable[[], DataFrame]] = [
        lambda: spark.read.option("timestampAsOf", made[0]).table(name),
        lambda: spark.sql(f"SELECT * FROM {name} TIMESTAMP AS OF '{made[0]}'"),
        lambda: spark.sql(f"SELECT n.id FROM {name} VERSION AS OF 0 AS n JOIN {name} AS now ON n.id = now.id"),
    ]
    for read in reads:
        assert rows(read()) == [(1,)]
    spark.conf.set("spark.sql.session.timeZone", "Pacific/Kiritimati")  # 14 hours ahead: the same text is long ago
    assert condition(lambda: spark.sql(f"SELECT * FROM {name} TIMESTAMP AS OF '{made[0]}'").collect()) == (
        "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"
    )
    assert condition(lambda: spark.sql(f"RESTORE {name} TO TIMESTAMP AS OF '{made[0]}'")) == (
        "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER"
    )
