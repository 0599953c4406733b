"""The session's time zone: what sets it, and what sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
