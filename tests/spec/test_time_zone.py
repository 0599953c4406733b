"""The session's time zone: what sets it, and what sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, rows, write_text

ZONE = "spark.sql.session.timeZone"
NEW_YORK = "America/New_York"
TOKYO = "Asia/Tokyo"
MOMENT = "2024-03-10T04:30:15Z"
"""A day earlier in New York, some hours before its clocks change."""
COLUMNS = "ts TIMESTAMP, s STRUCT<t: TIMESTAMP>, a ARRAY<TIMESTAMP>, m MAP<STRING, TIMESTAMP>, bare TIMESTAMP"
JSON = (
    f'{{"ts": "{MOMENT}", "s": {{"t": "{MOMENT}"}}, "a": ["{MOMENT}"], "m": {{"k": "{MOMENT}"}}, '
    '"bare": "2024-03-10 04:30:15"}\n'
)
ASKED = (
    "hour(ts)", "string(ts)", "string(to_date(ts))", "to_json(struct(ts))", "hour(s.t)", "hour(a[0])", "hour(m['k'])",
    "string(bare)",
)  # fmt: skip
IN_NEW_YORK = (
    23, "2024-03-09 23:30:15", "2024-03-09", '{"ts":"2024-03-09T23:30:15.000-05:00"}', 23, 23, 23, "2024-03-10 04:30:15"
)  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("+03:00", "07:30:15"),
        ("+3:00", "07:30:15"),
        ("-03:30", "01:00:15"),
        ("+0300", "07:30:15"),
        ("GMT+3", "07:30:15"),
        ("UTC+03:00", "07:30:15"),
        ("Z", "04:30:15"),
        ("EST", "23:30:15"),
        ("PST", "20:30:15"),
        ("US/Pacific", "20:30:15"),
        (NEW_YORK, "23:30:15"),
    ],
)
def test_a_zone_has_all_the_names_that_java_gives_it(spark: SparkSession, zone: str, shown: str) -> None:
    spark.conf.set(ZONE, zone)
    assert spark.conf.get(ZONE) == zone
    [row] = spark.sql(f"SELECT string(CAST('{MOMENT}' AS TIMESTAMP)) AS t").collect()
    assert row.t.endswith(shown)


@pytest.mark.parametrize("zone", ["Foo/Bar", "", "america/new_york", "est", "+19:00", "UTC0"])
def test_a_zone_that_is_none_is_refused_and_changes_nothing(spark: SparkSession, zone: str) -> None:
    spark.conf.set(ZONE, TOKYO)
    with pytest.raises(IllegalArgumentException, match=r"INVALID_CONF_VALUE.TIME_ZONE") as caught:
        spark.conf.set(ZONE, zone)
    assert caught.value.getCondition() == "INVALID_CONF_VALUE.TIME_ZONE"
    assert spark.conf.get(ZONE) == TOKYO


@pytest.mark.parametrize("source", ["json", "csv", "parquet", "path", "table"])
def test_a_stream_is_in_the_zone_of_the_session_that_starts_it(
    spark: SparkSession, database: str, tmp_path: Path, source: str
) -> None:
    spark.conf.set(ZONE, NEW_YORK)
    stream = _stream(spark, database, tmp_path, source)
    assert _taken(spark, stream.selectExpr(*ASKED)) == [IN_NEW_YORK]
    spark.conf.set(ZONE, TOKYO)
    assert _taken(spark, stream.selectExpr("hour(ts)")) == [(13,)]


def _stream(spark: SparkSession, database: str, folder: Path, source: str) -> DataFrame:
    """One row with `MOMENT`, in many places, and a time that names no zone."""
    write_text(folder / "json" / "a.json", JSON)
    frame = spark.read.schema(COLUMNS).json(str(folder / "json"))
    match source:
        case "json":
            return spark.readStream.schema(COLUMNS).json(str(folder / "json"))
        case "csv":
            write_text(folder / "csv" / "a.csv", f"{MOMENT},2024-03-10 04:30:15\n")
            nested = "named_struct('t', ts) s", "array(ts) a", "map('k', ts) m"
            read = spark.readStream.schema("ts TIMESTAMP, bare TIMESTAMP").csv(str(folder / "csv"))
            return read.selectExpr("ts", "bare", *nested)
        case "parquet":
            frame.write.parquet(str(folder / "parquet"))
            return spark.readStream.schema(COLUMNS).parquet(str(folder / "parquet"))
        case "path":
            frame.write.format("delta").save(str(folder / "delta"))
            return spark.readStream.format("delta").load(str(folder / "delta"))
        case _:
            frame.write.format("delta").saveAsTable(f"{database}.t")
            return spark.readStream.table(f"{database}.t")


_numbers = iter(range(1_000_000))


def _taken(spark: SparkSession, stream: DataFrame) -> list[tuple[Any, ...]]:
    """The rows of a stream, by way of memory."""
    name = f"taken_{next(_numbers)}"
    finish(stream.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    return rows(spark.table(name))


def test_windows_metadata_state_and_foreach_batch_are_in_the_zone(
    spark: SparkSession, database: str, tmp_path: Path
) -> None:
    spark.conf.set(ZONE, NEW_YORK)
    stream = _stream(spark, database, tmp_path, "table").withWatermark("ts", "1 hour")
    days = stream.groupBy(F.window("ts", "1 day")).agg(F.max("ts").alias("ts"), F.collect_list("s.t").alias("moments"))
    shown = days.selectExpr("string(window.start)", "hour(window.end)", "hour(ts)", "hour(moments[0])")
    query = shown.writeStream.format("memory").queryName("days").outputMode("complete").trigger(availableNow=True)
    finish(query.start())
    assert rows(spark.table("days")) == [("2024-03-09 19:00:00", 20, 23, 23)]
    files = spark.readStream.schema(COLUMNS).json(str(tmp_path / "json"))
    assert _taken(
        spark, files.selectExpr("date_format(_metadata.file_modification_time, 'XXX') IN ('-04:00', '-05:00')")
    ) == [(True,)]
    seen = tmp_path / "seen"

    def note(batch: DataFrame, _: int) -> None:
        seen.write_text(repr([tuple(row) for row in batch.selectExpr("hour(ts)", "string(s.t)").collect()]))

    finish(stream.writeStream.foreachBatch(note).trigger(availableNow=True).start())
    assert seen.read_text() == "[(23, '2024-03-09 23:30:15')]"


def _asked(prefix: str = "") -> str:
    """Columns that tell the zone, of the relation that `prefix` names."""
    return ", ".join(
        f"{what}"
        for what in (
            f"hour({prefix}ts)",
            f"string({prefix}ts)",
            f"hour({prefix}s.t)",
            f"hour({prefix}a[0])",
            f"hour({prefix}m['k'])",
        )
    )


ANSWER = (23, "2024-03-09 23:30:15", 23, 23, 23)


def _different(frame: DataFrame) -> set[tuple[Any, ...]]:
    return set(rows(frame))


def test_tables_are_read_in_the_zone_of_the_session_as_it_is_now(
    spark: SparkSession, database: str, tmp_path: Path
) -> None:
    _stream(spark, database, tmp_path, "table")
    name, folder = f"{database}.t", str(tmp_path / "delta")
    table = spark.table(name)
    table.write.format("delta").save(folder)
    spark.sql(f"INSERT INTO {name} SELECT * FROM {name}")
    texts = [
        f"SELECT {_asked()} FROM {name}",
        f"SELECT {_asked('t.')} FROM {name}",
        f"SELECT {_asked(name + '.')} FROM {name}",
        f"SELECT {_asked('x.')} FROM {name} AS x JOIN {name} y ON x.ts = y.ts",
        f"WITH q AS (SELECT * FROM {name}), r AS (SELECT * FROM q) SELECT {_asked()} FROM r",
        f"SELECT {_asked()} FROM (TABLE {name})",
        f"SELECT {_asked()} FROM {name} WHERE ts IN (SELECT ts FROM {name} WHERE hour(ts) = 23)",
        f"SELECT {_asked()} FROM {name} VERSION AS OF 1 WHERE to_date(ts) = DATE'2024-03-09'",
        f"SELECT {_asked('old.')} FROM {name} VERSION AS OF 1 AS old, delta.`{folder}` new WHERE hour(new.ts) = 23",
        f"SELECT {_asked()} FROM delta.`{folder}`",
        f"SELECT {_asked('t.')} FROM {name} TABLESAMPLE (100 PERCENT)",
    ]
    spark.conf.set(ZONE, NEW_YORK)
    whole = " UNION ALL ".join(f"SELECT {number}, * FROM ({text})" for number, text in enumerate(texts))
    assert _different(spark.sql(whole)) == {(number, *ANSWER) for number in range(len(texts))}
    frames = [
        table,
        spark.read.format("delta").load(folder),
        spark.read.option("versionAsOf", 1).table(name),
        spark.sql("SELECT * FROM {t}", t=table),
        table.where("to_date(ts) = DATE'2024-03-09'"),
    ]
    shown = [frame.selectExpr(*_asked().split(", ")) for frame in frames]
    assert _different(reduce(DataFrame.unionAll, shown)) == {ANSWER}
    assert "2024-03-09 23:30:15" in spark.sql(f"SELECT ts FROM {name}")._show_string(1, False)  # type: ignore[operator]
    joined = table.join(spark.read.format("delta").load(folder).alias("q"), table.ts == F.col("q.ts"))
    assert _different(joined.select(F.hour(table.ts), F.hour("q.ts"))) == {(23, 23)}
    spark.sql(f"USE {database}")
    assert _different(spark.sql("SELECT hour(ts), hour(t.ts) FROM t")) == {(23, 23)}
    assert _different(spark.table("t").select(F.hour("t.ts"))) == {(23,)}
    spark.conf.set(ZONE, TOKYO)
    assert _different(table.selectExpr("hour(ts)", "string(s.t)")) == {(13, "2024-03-10 13:30:15")}
    spark.conf.set(ZONE, "UTC")
    assert _different(table.selectExpr("hour(ts)")) == {(4,)}


def test_views_show_their_columns_in_the_zone_of_the_reader(spark: SparkSession, database: str, tmp_path: Path) -> None:
    _stream(spark, database, tmp_path, "table")
    name = f"{database}.t"
    spark.conf.set(ZONE, NEW_YORK)
    spark.table(name).createOrReplaceTempView("plain")
    spark.table(name).selectExpr("ts", "hour(ts) AS h").createOrReplaceTempView("of_frame")
    spark.sql(f"CREATE OR REPLACE TEMP VIEW of_text AS SELECT ts, hour(ts) AS h FROM {name}")
    spark.sql(f"CREATE VIEW {database}.kept AS SELECT ts, hour(ts) AS h FROM {name}")
    stream = spark.readStream.table(name)
    query = stream.writeStream.format("memory").queryName("in_memory").trigger(availableNow=True)
    finish(query.start())
    assert rows(spark.sql(f"SELECT h, hour(ts) FROM {database}.kept")) == [(23, 23)]
    assert rows(spark.table(f"{database}.kept").select("h", F.hour("ts"))) == [(23, 23)]
    for zone, hour in (NEW_YORK, 23), (TOKYO, 13), ("UTC", 4):
        spark.conf.set(ZONE, zone)
        for view in "plain", "in_memory":
            assert rows(spark.sql(f"SELECT hour(ts), hour({view}.s.t) FROM {view}")) == [(hour, hour)]
            assert rows(spark.table(view).select(F.hour("ts"))) == [(hour,)]
        for view in "of_frame", "of_text":
            assert rows(spark.sql(f"SELECT h, hour(ts) FROM {view}")) == [(23, hour)], (zone, view)


def test_what_is_written_is_what_the_zone_says(spark: SparkSession, database: str, tmp_path: Path) -> None:
    _stream(spark, database, tmp_path, "table")
    name = f"{database}.t"
    spark.conf.set(ZONE, NEW_YORK)
    spark.sql(f"CREATE TABLE {database}.made USING delta AS SELECT ts, hour(ts) AS h, string(ts) AS s FROM {name}")
    spark.sql(f"INSERT INTO {database}.made SELECT ts, hour(ts) + 100, date_format(ts, 'dd') FROM {name}")
    made = spark.table(f"{database}.made").selectExpr("h", "s", "hour(ts)", "unix_seconds(ts)")
    assert rows(made) == [(123, "09", 23, 1710045015), (23, "2024-03-09 23:30:15", 23, 1710045015)]
    spark.sql(
        f"MERGE INTO {database}.made AS m USING {name} AS n ON m.h = hour(n.ts) "
        "WHEN MATCHED THEN UPDATE SET s = string(n.ts), h = -hour(n.ts)"
    )
    assert rows(spark.table(f"{database}.made").select("h", "s")) == [(-23, "2024-03-09 23:30:15"), (123, "09")]
    days = spark.table(name).selectExpr("to_date(ts) AS day", "ts", "ts AS moment")
    days.write.format("delta").partitionBy("day", "moment").saveAsTable(f"{database}.days")
    found = spark.sql(f"SELECT string(day), hour(moment) FROM {database}.days WHERE moment = '2024-03-09 23:30:15'")
    assert rows(found) == [("2024-03-09", 23)]
    assert rows(spark.sql(f"SELECT 1 FROM {database}.days WHERE to_date(moment) = DATE'2024-03-10'")) == []


def test_files_and_tables_of_files_are_read_in_the_zone(spark: SparkSession, database: str, tmp_path: Path) -> None:
    _stream(spark, database, tmp_path, "csv")
    spark.conf.set(ZONE, NEW_YORK)
    for form in "json", "csv", "parquet":
        folder = str(tmp_path / f"{form}_out")
        frame = spark.read.schema(COLUMNS).json(str(tmp_path / "json")).select("ts", "bare")
        frame.write.format(form).save(folder)
        read = spark.read.schema("ts TIMESTAMP, bare TIMESTAMP").format(form).load(folder)
        assert rows(read.selectExpr("hour(ts)", "string(bare)")) == [(23, "2024-03-10 04:30:15")], form
        spark.sql(f"CREATE TABLE {database}.of_{form} (ts TIMESTAMP, bare TIMESTAMP) USING {form} LOCATION '{folder}'")
        shown = f"SELECT hour(ts), string(bare) FROM {database}.of_{form}"
        assert rows(spark.sql(shown)) == [(23, "2024-03-10 04:30:15")], form
    spark.sql(f"CREATE TABLE {database}.bare (bare TIMESTAMP) USING csv LOCATION '{tmp_path}/bare'")
    write_text(tmp_path / "bare" / "a.csv", "2024-03-10 04:30:15\n")
    assert rows(spark.sql(f"SELECT string(bare), hour(bare) FROM {database}.bare")) == [("2024-03-10 04:30:15", 4)]
    spark.conf.set(ZONE, TOKYO)
    assert rows(spark.table(f"{database}.bare").selectExpr("hour(bare)", "unix_seconds(bare)")) == [(4, 1710012615)]


def test_parquet_files_of_all_writers_are_read_in_the_zone(spark: SparkSession, database: str, tmp_path: Path) -> None:
    moments = pa.array([datetime(2024, 3, 10, 4, 30, 15, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))
    local = pa.array([datetime(2024, 3, 10, 4, 30, 15)] * 2)  # noqa: DTZ001 - TIMESTAMP_NTZ
    written = pa.table({"ts": moments, "s": pa.array([{"t": moments[0]}] * 2), "k": ["a", "b"]})
    folder = tmp_path / "t"
    (folder / "p=1").mkdir(parents=True)
    (folder / "p=2").mkdir()
    pq.write_table(written, folder / "p=1" / "old.parquet", use_deprecated_int96_timestamps=True)  # as Spark
    pq.write_table(written, folder / "p=2" / "new.parquet")
    pq.write_table(pa.table({"n": local}), tmp_path / "n.parquet")
    spark.conf.set(ZONE, NEW_YORK)
    asked = ("string(ts)", "hour(s.t)", "unix_micros(ts)", "k", "p")
    moment = 1_710_045_015_000_000
    expected = [("2024-03-09 23:30:15", 23, moment, k, p) for k in "ab" for p in (1, 2)]
    columns = "ts TIMESTAMP, s STRUCT<t: TIMESTAMP>, k STRING"
    spark.sql(f"CREATE TABLE {database}.t ({columns}) USING parquet LOCATION '{folder / 'p=1'}'")
    for frame in (
        spark.read.parquet(str(folder)),
        spark.read.schema(f"{columns}, p INT").parquet(str(folder)),
        spark.sql(f"SELECT * FROM parquet.`{folder}`"),
        spark.table(f"{database}.t")
        .withColumn("p", F.lit(1))
        .unionByName(spark.read.parquet(str(folder)).where("p = 2")),
    ):
        assert sorted(tuple(row) for row in frame.selectExpr(*asked).collect()) == sorted(expected)
    assert (
        rows(spark.read.parquet(str(tmp_path / "n.parquet")).selectExpr("string(n)")) == [("2024-03-10 04:30:15",)] * 2
    )


def test_functions_of_python_and_change_feeds_are_in_the_zone(spark: SparkSession, database: str) -> None:
    name = f"{database}.feed"
    spark.sql(f"CREATE TABLE {name} (ts TIMESTAMP) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    spark.sql(f"INSERT INTO {name} VALUES (TIMESTAMP'{MOMENT}')")
    spark.conf.set(ZONE, NEW_YORK)
    table = spark.table(name)
    feed = spark.read.option("readChangeFeed", "true").option("startingVersion", 1).table(name)
    assert rows(feed.selectExpr("hour(ts)", "string(ts)")) == [(23, "2024-03-09 23:30:15")]
    same = F.udf(lambda moment: moment, "timestamp")
    assert rows(table.select(F.hour(same("ts")), F.col("ts").cast("string"))) == [(23, "2024-03-09 23:30:15")]
    mapped = table.mapInArrow(lambda batches: batches, "ts timestamp")
    assert rows(mapped.select(F.hour("ts"))) == [(23,)]
    grouped = table.groupBy(F.lit("all")).applyInPandas(lambda frame: frame, "ts timestamp")
    assert rows(grouped.select(F.hour("ts"))) == [(23,)]
    local: Any = table.toPandas()
    assert [str(moment) for moment in local["ts"]] == ["2024-03-09 23:30:15"]
    assert str(table.toArrow().column("ts")[0].as_py().astimezone(UTC)) == "2024-03-10 04:30:15+00:00"


def test_a_batch_that_a_query_hands_over_is_in_the_zone_of_the_session(
    spark: SparkSession, database: str, tmp_path: Path
) -> None:
    stream = _stream(spark, database, tmp_path, "table")
    seen = tmp_path / "seen"

    def note(batch: DataFrame, number: int) -> None:
        if number == 0:
            batch.sparkSession.conf.set(ZONE, TOKYO)
        seen.write_text(repr([tuple(row) for row in batch.selectExpr("h", "hour(ts)").collect()]))

    spark.conf.set(ZONE, NEW_YORK)
    finish(stream.selectExpr("ts", "hour(ts) AS h").writeStream.foreachBatch(note).trigger(availableNow=True).start())
    assert seen.read_text() == "[(23, 13)]"


def test_days_are_added_and_differences_taken_by_the_clock(spark: SparkSession, database: str) -> None:
    """Over the hours that New York's clocks skip or have twice, and the days on which they change."""
    hours = (
        "03-09T07:30",
        "03-09T12:00",
        "03-10T04:30",
        "03-11T06:30",
        "11-02T05:30",
        "11-03T05:30",
        "11-03T06:30",
        "11-04T06:30",
    )
    values = ", ".join(f"(TIMESTAMP'2024-{each}:00Z')" for each in hours)
    spark.sql(f"CREATE TABLE {database}.t (ts TIMESTAMP) USING delta")
    spark.sql(f"INSERT INTO {database}.t VALUES {values}")
    spark.conf.set(ZONE, NEW_YORK)
    asked = [
        "ts + INTERVAL 1 DAY",
        "ts - INTERVAL '1' DAY",
        "INTERVAL 1 DAY + ts",
        "timestampadd(WEEK, -1, ts)",
        "ts + INTERVAL 5 HOURS",
        "CAST(CAST(ts AS TIMESTAMP_NTZ) AS TIMESTAMP)",
    ]
    frame = spark.table(f"{database}.t")
    added = frame.select("ts", *(F.expr(f"unix_seconds({text}) - unix_seconds(ts)").alias(text) for text in asked))
    texts = ", ".join(f"unix_seconds({text}) - unix_seconds(ts)" for text in asked)
    found = [tuple(row)[1:] for row in added.orderBy("ts").collect()]
    day = 24 * 3600
    assert [row[:4] for row in found] == [
        (day, -day, day, -7 * day),
        (day - 3600, -day, day - 3600, -7 * day),
        (day - 3600, -day, day - 3600, -7 * day),
        (day, -day + 3600, day, -7 * day + 3600),
        (day, -day, day, -7 * day),
        (day + 3600, -day, day + 3600, -7 * day),
        (day, -day - 3600, day, -7 * day - 3600),
        (day, -day, day, -7 * day - 3600),
    ]
    assert [row[4] for row in found] == [5 * 3600] * 8
    assert [row[5] for row in found] == [0, 0, 0, 0, 0, 0, -3600, 0]
    by_the_clock = [row[0] for row in frame.selectExpr("CAST(ts AS TIMESTAMP_NTZ) AS n").orderBy("n").collect()]
    assert str(by_the_clock[0]) == "2024-03-09 02:30:00"
    assert rows(spark.sql(f"SELECT {texts} FROM {database}.t")) == sorted(found, key=repr)
    pairs = frame.alias("a").crossJoin(frame.alias("b")).where("hour(a.ts) = 7 OR hour(a.ts) = 23")
    differences = pairs.select(
        (F.col("a.ts") - F.col("b.ts")).cast("string").alias("d"),
        F.expr("timestampdiff(MINUTE, b.ts, a.ts)").alias("m"),
    )
    local = "unix_micros(CAST(CONCAT(CAST(CAST({0} AS TIMESTAMP_NTZ) AS STRING), 'Z') AS TIMESTAMP))"
    again = pairs.selectExpr(f"{local.format('a.ts')} - {local.format('b.ts')} AS us")
    assert sorted(row.m for row in differences.collect()) == sorted(int(row.us / 60_000_000) for row in again.collect())
    spark.conf.set(ZONE, "America/Sao_Paulo")
    midnight = "SELECT CAST(DATE'2018-11-04' AS TIMESTAMP) AS a, to_date(TIMESTAMP'2018-11-04 12:00:00') AS d"
    [row] = spark.sql(f"SELECT string(a), string(CAST(d AS TIMESTAMP)), a = d, d < a FROM ({midnight})").collect()
    assert tuple(row) == ("2018-11-04 01:00:00", "2018-11-04 01:00:00", True, False)


def test_dates_and_times_are_compared_by_the_clock(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.t (ts TIMESTAMP, d DATE, n TIMESTAMP_NTZ) USING delta")
    spark.sql(
        f"INSERT INTO {database}.t VALUES (TIMESTAMP'{MOMENT}', DATE'2024-03-10', TIMESTAMP_NTZ'2024-03-09 23:30:15')"
    )
    spark.conf.set(ZONE, NEW_YORK)
    asked = (
        "ts < d",
        "d <= ts",
        "ts BETWEEN d AND d + 1",
        "n = ts",
        "ts > '2024-03-10'",
        "to_date(ts) < d",
        "ts IN (n)",
    )
    expected = [(True, False, False, True, False, True, True)]
    assert rows(spark.table(f"{database}.t").selectExpr(*asked)) == expected
    assert rows(spark.sql(f"SELECT {', '.join(asked)} FROM {database}.t")) == expected
    assert _taken(spark, spark.readStream.table(f"{database}.t").selectExpr(*asked, "string(ts + INTERVAL 1 DAY)")) == [
        (*expected[0], "2024-03-10 23:30:15")
    ]
