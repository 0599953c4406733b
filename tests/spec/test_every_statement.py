"""Every statement means by an expression what a query means by it.

One list of what the engine alone would answer otherwise, asked in each kind of statement that takes an expression.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark import pipelines as dp
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.pipelines.support import FAST_RETRIES, Project
from tests.spec.support import finish

ROW = """
    SELECT 1 AS id, 3 AS i, '4' AS s, 'Crème brûlée' AS t, date'2024-02-05' AS dt, 1.15BD AS dec,
           timestamp'2024-03-10 04:30:15' AS ts, 'a1b' AS c, CAST(NULL AS STRING) AS n, 0 AS zero, array(1, 5) AS a
"""
QUIRKS: list[tuple[str, Any]] = [
    ("weekday(dt)", 0),
    ("initcap(t)", "Crème Brûlée"),
    ("'it''s'", "it's"),
    ("CASE WHEN i = 3 THEN 1 ELSE 2.5D END", 1.0),
    ("regexp_replace(t, '\\\\W', '_')", "Cr_me_br_l_e"),
    ("split(c, '')", ["a", "1", "b"]),
    ("s + 1", 5),
    ("dec * 2", Decimal("2.30")),
    ("extract(dow FROM dt)", 2),
    ("left(t, i - 4)", ""),
    ("isnan(CAST(n AS DOUBLE))", False),
    ("s > 10", False),
    ("datediff(DAY, ts, timestamp'2024-03-12 03:00:00')", 1),
    ("CAST(n AS INT) / zero", None),
    ("exists(a, x -> x + s > 8)", True),
]
OVERFLOWS = "i + 2147483645 > 0"
NAMES = [f"c{number}" for number in range(len(QUIRKS))]
COLUMNS = ", ".join(f"{text} AS {name}" for (text, _), name in zip(QUIRKS, NAMES, strict=True))
VALUES = ", ".join(text for text, _ in QUIRKS)
SET = ", ".join(f"{name} = {text}" for (text, _), name in zip(QUIRKS, NAMES, strict=True))
EXPECTED = [value for _, value in QUIRKS]


def literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case list():
            return "array(" + ", ".join(map(literal, value)) + ")"
        case Decimal():
            return f"{value}BD"
        case str():
            return f'"{value}"'
        case _:
            return repr(value)


HOLDS = " AND ".join(f"({text}) <=> {literal(value)}" for text, value in QUIRKS)
"""True of the row."""


@pytest.fixture
def source(spark: SparkSession, database: str) -> str:
    """A Delta table with the one row, by its name."""
    spark.sql(f"CREATE TABLE {database}.src USING delta AS {ROW}")
    return f"{database}.src"


@pytest.fixture
def target(spark: SparkSession, source: str, database: str) -> str:
    """A Delta table without rows that has the columns of the source, and those of the quirks."""
    spark.sql(f"SELECT *, {COLUMNS} FROM {source} LIMIT 0").write.format("delta").saveAsTable(f"{database}.target")
    return f"{database}.target"


@pytest.fixture
def project(spark: SparkSession, database: str, tmp_path: Path) -> Project:
    for key, value in FAST_RETRIES.items():
        spark.conf.set(key, value)
    return Project(spark, database, tmp_path / "storage")


def only(frame: DataFrame) -> list[Any]:
    [row] = frame.collect()
    return list(row)


TABLES = {
    "CREATE TABLE AS SELECT": "CREATE TABLE {made} USING delta AS SELECT {columns} FROM {source}",
    "CREATE TABLE AS WITH": "CREATE TABLE {made} USING delta AS WITH w AS (SELECT {columns} FROM {source}) TABLE w",
    "REPLACE TABLE AS": "CREATE OR REPLACE TABLE {made} USING delta AS SELECT {columns} FROM {source} WHERE {holds}",
    "CREATE VIEW": "CREATE VIEW {made} AS SELECT {columns} FROM {source} WHERE {holds}",
    "CREATE VIEW of a join": "CREATE VIEW {made} AS SELECT {columns} FROM {source} JOIN (SELECT 1 AS k) ON {holds}",
    "CREATE VIEW with columns": "CREATE VIEW {made} (k) AS SELECT array({columns_as_text}) AS z FROM {source}",
}


@pytest.mark.parametrize("statement", TABLES.values(), ids=TABLES.keys())
def test_what_a_statement_makes_of_a_query(spark: SparkSession, database: str, source: str, statement: str) -> None:
    made = f"{database}.made"
    text = ", ".join(f"string({text})" for text, value in QUIRKS if isinstance(value, (str, int)) and value is not True)
    spark.sql(statement.format(made=made, columns=COLUMNS, source=source, holds=HOLDS, columns_as_text=text))
    found = only(spark.table(made))
    if len(found) == 1:
        assert {"Crème Brûlée", "it's", "5"} <= set(found[0])
        assert spark.table(made).columns == ["k"]
    else:
        assert found == EXPECTED == only(spark.sql(f"SELECT * FROM {made}"))


def test_temporary_views(spark: SparkSession, database: str, source: str) -> None:
    spark.sql(f"CREATE TEMPORARY VIEW mine AS SELECT {VALUES} FROM {source} WHERE {HOLDS}")
    spark.sql(f"CREATE GLOBAL TEMPORARY VIEW g_{database} AS SELECT {COLUMNS} FROM {source}")
    spark.table(source).where(HOLDS).selectExpr(*(text for text, _ in QUIRKS)).createOrReplaceTempView("framed")
    for view in ("mine", f"global_temp.g_{database}", "framed"):
        assert only(spark.table(view)) == EXPECTED == only(spark.sql(f"SELECT * FROM {view}"))


def test_a_persistent_view_has_names_for_its_columns(spark: SparkSession, database: str, source: str) -> None:
    for query in ("weekday(dt) FROM", "id, s + 1 FROM", "count(*) FROM", "DISTINCT s, CASE WHEN true THEN 1 END FROM"):
        with pytest.raises(PySparkException, match="CREATE_PERMANENT_VIEW_WITHOUT_ALIAS"):
            spark.sql(f"CREATE VIEW {database}.v AS SELECT {query} {source}")
    for number, query in enumerate(
        ("* FROM", "id, src.i, a[0], CAST(s AS INT), 'x', 1 FROM", "count(*) n, 1 AS a, explode(a) FROM")
    ):
        spark.sql(f"CREATE VIEW {database}.v{number} AS SELECT {query} {source}" + " GROUP BY a" * (number == 2))
        assert spark.table(f"{database}.v{number}").count() == 1 + (number == 2)


def test_inserts(spark: SparkSession, database: str, source: str, target: str, tmp_path: Path) -> None:
    into = f"INSERT INTO {target} ({', '.join(NAMES)})"
    statements = [
        f"{into} SELECT {COLUMNS} FROM {source} WHERE {HOLDS}",
        f"{into} WITH w AS (SELECT {COLUMNS} FROM {source}) SELECT * FROM w",
        f"INSERT INTO {target} BY NAME SELECT {COLUMNS} FROM {source}",
        f"INSERT OVERWRITE {target} SELECT *, {COLUMNS} FROM {source} UNION SELECT *, {COLUMNS} FROM {source}",
    ]
    for statement in statements:
        spark.sql(statement)
        assert only(spark.table(target).select(*NAMES).distinct()) == EXPECTED
    spark.sql(f"CREATE TABLE {database}.four (a STRING, b INT, c STRING, d INT) USING delta")
    spark.sql(
        f"INSERT INTO {database}.four VALUES ('it''s', weekday(date'2024-02-05'), initcap('o''neil'), '4' + 1), "
        "(CASE WHEN true THEN 'a' END, NULL / 2, '', 2)"
    )
    assert [tuple(row) for row in spark.table(f"{database}.four").orderBy("d").collect()] == [
        ("a", None, "", 2),
        ("it's", 0, "O'neil", 5),
    ]
    with pytest.raises(PySparkException):
        spark.sql(f"INSERT INTO {database}.four (b) VALUES (2147483647 + 1)")
    spark.sql(f"INSERT OVERWRITE DIRECTORY '{tmp_path}/out' USING parquet SELECT {COLUMNS} FROM {source}")
    assert only(spark.read.parquet(f"{tmp_path}/out")) == EXPECTED


def test_conditions_of_queries(spark: SparkSession, source: str) -> None:
    for query in (
        f"SELECT id FROM {source} WHERE {HOLDS}",
        f"SELECT i FROM {source} GROUP BY i HAVING max(s) + i = 7 AND weekday(max(dt)) = 0",
        f"SELECT 1 WHERE EXISTS (SELECT 1 FROM {source} WHERE {HOLDS})",
        f"SELECT 1 WHERE 1 IN (SELECT id FROM {source} WHERE {HOLDS})",
        f"SELECT id FROM {source} JOIN (SELECT 1 AS k) ON {HOLDS}",
        f"SELECT id FROM {source} LEFT SEMI JOIN (SELECT '1' AS k) r ON {HOLDS} AND r.k + 1 = 2",
        f"SELECT 1 FROM (SELECT '1' AS k) l JOIN {source} r ON l.k + 1 = 2 AND r.s + 1 = 5",
    ):
        assert spark.sql(query).count() == 1, query
    counted = (
        f"count(*) FILTER (WHERE {HOLDS}), sum(i) FILTER (WHERE NOT ({HOLDS})), count(CASE WHEN {HOLDS} THEN 1 END)"
    )
    assert only(spark.sql(f"SELECT {counted} FROM {source}")) == [1, None, 1]
    assert only(spark.table(source).agg(F.expr(f"count(*) FILTER (WHERE {HOLDS})"))) == [1]
    for query in (
        f"SELECT count(*) FILTER (WHERE {OVERFLOWS}) FROM {source}",
        f"SELECT id FROM {source} JOIN (SELECT 1 AS k) ON {OVERFLOWS}",
        "SELECT * FROM VALUES (2147483647 + 1)",
        f"SELECT struct({OVERFLOWS}) FROM {source}",
    ):
        with pytest.raises(PySparkException):
            spark.sql(query).collect()


def test_rows_deleted_and_updated(spark: SparkSession, source: str, target: str) -> None:
    for statement in (
        f"DELETE FROM {source} WHERE {OVERFLOWS}",
        f"UPDATE {source} SET i = 2 WHERE {OVERFLOWS}",
        f"UPDATE {source} SET i = i + 2147483645",
    ):
        with pytest.raises(PySparkException):
            spark.sql(statement)
    spark.sql(f"INSERT INTO {target} BY NAME SELECT * FROM {source}")
    spark.sql(f"UPDATE {target} SET {SET} WHERE {HOLDS}")
    assert only(spark.table(target).select(*NAMES)) == EXPECTED
    spark.sql(f"DELETE FROM {source} WHERE NOT ({HOLDS})")
    assert spark.table(source).count() == 1
    spark.sql(f"DELETE FROM {source} WHERE {HOLDS}")
    assert spark.table(source).count() == 0


def test_rows_merged(spark: SparkSession, source: str, target: str) -> None:
    for on, condition in ((OVERFLOWS, "true"), ("true", OVERFLOWS)):
        with pytest.raises(PySparkException):
            spark.sql(f"MERGE INTO {source} USING (SELECT 1 AS k) ON {on} WHEN MATCHED AND {condition} THEN DELETE")
    spark.sql(
        f"MERGE INTO {target} USING {source} AS n ON false "
        f"WHEN NOT MATCHED AND {HOLDS} THEN INSERT ({', '.join(NAMES)}) VALUES ({VALUES})"
    )
    assert only(spark.table(target).select(*NAMES)) == EXPECTED
    spark.sql(f"INSERT OVERWRITE {target} BY NAME SELECT * FROM {source}")
    spark.sql(
        f"MERGE INTO {target} USING (SELECT 1 AS k, weekday(date'2024-02-05') AS w, '4' + 1 AS five) "
        f"ON id = k AND w = 0 AND five = 5 AND {HOLDS} WHEN MATCHED AND {HOLDS} THEN UPDATE SET {SET}"
    )
    assert only(spark.table(target).select(*NAMES)) == EXPECTED


def test_rows_replaced_and_constraints(spark: SparkSession, source: str, tmp_path: Path) -> None:
    holds = "s + i = 7 AND dec * 2 = 2.3 AND weekday(dt) = 0"
    spark.table(source).write.format("delta").mode("overwrite").option("replaceWhere", holds).saveAsTable(source)
    assert spark.table(source).count() == 1
    rule = "weekday(dt) = 0 AND initcap(t) = 'Crème Brûlée' AND s + 1 = 5 AND i + 2147483640 > 0"
    spark.sql(f"ALTER TABLE {source} ADD CONSTRAINT quirks CHECK ({rule})")
    spark.sql(f"INSERT INTO {source} {ROW}")
    stream = spark.readStream.table(source).writeStream.format("delta").option("checkpointLocation", f"{tmp_path}/kept")
    finish(stream.trigger(availableNow=True).toTable(source))
    assert spark.table(source).count() == 4
    with pytest.raises(PySparkException):
        spark.sql(f"INSERT INTO {source} {ROW.replace('3 AS i', '9 AS i')}")  # it overflows
    with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
        spark.sql(f"""INSERT INTO {source} {ROW.replace("'4' AS s", "'5' AS s")}""")


def test_streams(spark: SparkSession, source: str, database: str, tmp_path: Path) -> None:
    rows = spark.readStream.table(source)
    rows.createOrReplaceTempView("arriving")
    streams = {
        "of_rows": rows.where(HOLDS).selectExpr(
            *(f"{text} AS {name}" for (text, _), name in zip(QUIRKS, NAMES, strict=True))
        ),
        "of_text": spark.sql(f"SELECT {COLUMNS} FROM arriving WHERE {HOLDS}"),
        "of_groups": rows.groupBy("id").agg(
            *(F.expr(f"last({text}) AS {name}") for (text, _), name in zip(QUIRKS, NAMES, strict=True)),
            F.expr(f"count(*) FILTER (WHERE {HOLDS}) AS held"),
        ),
    }
    for name, stream in streams.items():
        writer = stream.writeStream.format("delta").option("checkpointLocation", f"{tmp_path}/{name}")
        writer = writer.trigger(availableNow=True).outputMode("complete" if name == "of_groups" else "append")
        finish(writer.toTable(f"{database}.{name}"))
        assert only(spark.table(f"{database}.{name}").select(*NAMES)) == EXPECTED
    assert only(spark.table(f"{database}.of_groups").select("held")) == [1]


def test_change_feeds(spark: SparkSession, source: str, database: str, tmp_path: Path) -> None:
    spark.sql(f"CREATE TABLE {database}.fed USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true) AS {ROW}")
    feed = spark.read.option("readChangeFeed", "true").option("startingVersion", 0).table(f"{database}.fed")
    columns = [f"{text} AS {name}" for (text, _), name in zip(QUIRKS, NAMES, strict=True)]
    assert only(feed.where(HOLDS).selectExpr(*columns)) == EXPECTED
    with pytest.raises(PySparkException):
        feed.where(OVERFLOWS).collect()
    changes = spark.readStream.option("readChangeFeed", "true").option("startingVersion", 0).table(f"{database}.fed")
    writer = changes.where(HOLDS).selectExpr(*columns).writeStream.option("checkpointLocation", f"{tmp_path}/changes")
    finish(writer.format("delta").trigger(availableNow=True).toTable(f"{database}.changes"))
    assert only(spark.table(f"{database}.changes")) == EXPECTED


def test_pipelines(project: Project, spark: SparkSession, source: str, database: str) -> None:
    def frames() -> None:
        @dp.materialized_view
        def of_frames() -> DataFrame:
            return (
                spark.table(source)
                .where(HOLDS)
                .selectExpr(*(f"{text} AS {name}" for (text, _), name in zip(QUIRKS, NAMES, strict=True)))
            )

        @dp.table
        def streamed() -> DataFrame:
            return spark.readStream.table(source).where(HOLDS)

    texts = f"""
        CREATE MATERIALIZED VIEW of_text AS SELECT {COLUMNS} FROM {source} WHERE {HOLDS};
        CREATE TEMPORARY VIEW between AS SELECT *, {COLUMNS} FROM {source};
        CREATE MATERIALIZED VIEW of_view AS SELECT {", ".join(NAMES)} FROM between WHERE {HOLDS};
        CREATE STREAMING TABLE of_stream AS SELECT {COLUMNS} FROM STREAM(streamed) WHERE {HOLDS};
        CREATE STREAMING TABLE filled;
        CREATE FLOW into_filled AS INSERT INTO filled BY NAME SELECT {COLUMNS} FROM STREAM({source}) WHERE {HOLDS};
    """
    outcome = project.run(frames, texts)
    assert outcome.completed, outcome
    for name in ("of_frames", "of_text", "of_view", "of_stream", "filled"):
        assert only(spark.table(f"{database}.{name}").select(*NAMES)) == EXPECTED, name


def test_names_in_another_case(spark: SparkSession, database: str, source: str, target: str) -> None:
    odd, other = source.replace(".src", ".SRC"), target.replace(".target", ".Target")
    spark.sql(f"CREATE VIEW {database}.V AS SELECT ID, I FROM {odd}")
    spark.sql(f"CREATE TEMPORARY VIEW Mine AS SELECT * FROM {odd}")
    spark.sql(f"INSERT INTO {other} BY NAME SELECT * FROM {odd}")
    spark.sql(f"UPDATE {other} SET I = 4 WHERE ID = 1")
    spark.sql(f"MERGE INTO {other} USING MINE AS m ON {other}.Id = M.iD WHEN MATCHED THEN UPDATE SET S = m.I")
    spark.sql(f"DELETE FROM {other} WHERE ID = 2")
    spark.sql(f"CREATE TABLE {database}.Made USING delta AS SELECT * FROM {database}.v")
    assert only(spark.table(target).select("id", "i", "s")) == [1, 4, "3"]
    assert only(spark.table(f"{database}.made")) == [1, 3]


def test_odd_paths(spark: SparkSession, database: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/a b%20ç"
    spark.sql(f"CREATE TABLE delta.`{path}` USING delta AS {ROW}")
    spark.sql(f"CREATE TABLE {database}.placed USING delta LOCATION '{path}'")
    spark.sql(f"INSERT INTO delta.`{path}` SELECT 2, i, s, t, dt, dec, ts, c, n, zero, a FROM {database}.placed")
    spark.sql(f"UPDATE delta.`{path}` SET i = 4 WHERE id + 1 = 3")
    spark.sql(f"CREATE TEMPORARY VIEW there AS SELECT * FROM delta.`{path}`")
    spark.sql(f"CREATE TABLE {database}.copied USING delta AS SELECT id, i FROM delta.`{path}` WHERE weekday(dt) = 0")
    for found in (spark.table("there"), spark.table(f"{database}.placed"), spark.table(f"{database}.copied")):
        assert [tuple(row) for row in found.select("id", "i").orderBy("id").collect()] == [(1, 3), (2, 4)]


def test_in_another_time_zone(spark: SparkSession, database: str, source: str) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    spark.sql(f"CREATE VIEW {database}.v AS SELECT hour(ts) AS h, to_date(ts) AS d FROM {source}")
    spark.sql(f"CREATE TABLE {database}.made USING delta AS SELECT hour(ts) AS h, to_date(ts) AS d FROM {source}")
    spark.sql(f"INSERT INTO {database}.made SELECT hour(ts), to_date(ts) FROM {source}")
    local = only(spark.sql(f"SELECT hour(ts) AS h, to_date(ts) AS d FROM {source}"))
    assert local[0] == 23
    for found in (spark.table(f"{database}.v"), spark.table(f"{database}.made").distinct()):
        assert only(found) == local
    spark.sql(f"UPDATE {source} SET i = hour(ts) WHERE to_date(ts) = date'2024-03-09'")
    assert only(spark.table(source).select("i")) == [23]
