"""Streams inside SQL text: `STREAM`, streaming views, watermarks, and queries that keep state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import files, finish, rows, write_json

Read = Callable[..., list[tuple[Any, ...]]]
SCHEMA = "id BIGINT, k STRING, ts TIMESTAMP"


@pytest.fixture
def landing(spark: SparkSession, tmp_path: Path) -> Path:
    """A folder of three rows, and a streaming view `events` over it."""
    folder = tmp_path / "landing"
    write_json(
        folder / "1.json",
        [
            {"id": 1, "k": "a", "ts": "2026-01-01 00:00:01"},
            {"id": 2, "k": "b", "ts": "2026-01-01 00:00:02"},
            {"id": 3, "k": "b", "ts": "2026-01-01 00:01:03"},
        ],
    )
    files(spark, folder, SCHEMA).createOrReplaceTempView("events")
    return folder


@pytest.fixture
def table(spark: SparkSession, database: str) -> str:
    spark.sql(f"CREATE TABLE {database}.t (id BIGINT, k STRING, ts TIMESTAMP) USING delta")
    spark.sql(f"INSERT INTO {database}.t VALUES (1, 'a', TIMESTAMP '2026-01-01 00:00:01')")
    return f"{database}.t"


@pytest.fixture
def read(spark: SparkSession) -> Read:
    def run(stream: DataFrame, mode: str = "append") -> list[tuple[Any, ...]]:
        finish(
            stream.writeStream.format("memory").queryName("seen").outputMode(mode).trigger(availableNow=True).start()
        )
        return rows(spark.table("seen"))

    return run


def test_a_view_over_a_stream_streams(spark: SparkSession, landing: Path, read: Read) -> None:
    stream = spark.sql("SELECT id, upper(k) AS k FROM events WHERE id > 1")
    assert stream.isStreaming
    assert stream.columns == ["id", "k"]
    assert read(stream) == [(2, "B"), (3, "B")]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM STREAM {table}",
        "SELECT id FROM STREAM({table}) WITH ('maxFilesPerTrigger' = '1') AS x WHERE x.id = 1",
        "SELECT t.id FROM STREAM {table}",
        "WITH c AS (SELECT * FROM STREAM {table}) SELECT id FROM c",
        "SELECT id FROM STREAM {table} WATERMARK ts DELAY OF INTERVAL 10 SECONDS",
    ],
    ids=["plain", "options and alias", "qualified by its name", "inside WITH", "watermark"],
)
def test_a_table_streams_where_the_text_says_so(spark: SparkSession, table: str, read: Read, text: str) -> None:
    stream = spark.sql(text.format(table=table))
    assert stream.isStreaming
    assert read(stream) == [(1,)]


def test_without_the_word_a_table_is_read_once(spark: SparkSession, table: str) -> None:
    assert not spark.sql(f"SELECT * FROM {table}").isStreaming
    assert not spark.sql(f"SELECT stream.id FROM {table} stream").isStreaming


def test_a_stream_joined_with_a_table(spark: SparkSession, landing: Path, table: str, read: Read) -> None:
    assert read(spark.sql(f"SELECT e.id, t.id AS other FROM events e LEFT JOIN {table} t ON e.k = t.k")) == [
        (1, 1),
        (2, None),
        (3, None),
    ]


def test_a_union_of_streams(spark: SparkSession, landing: Path, read: Read) -> None:
    stream = spark.sql("SELECT id FROM events WHERE id = 1 UNION ALL SELECT id + 10 FROM events")
    assert read(stream) == [(1,), (11,), (12,), (13,)]


def test_grouping_keeps_counting(spark: SparkSession, landing: Path, read: Read) -> None:
    query = "SELECT k, count(*) AS n, sum(id) / count(*) AS mean FROM events GROUP BY k HAVING count(*) > 0"
    assert read(spark.sql(query), "complete") == [("a", 1, 1.0), ("b", 2, 2.5)]


def test_windows_by_alias(spark: SparkSession, landing: Path, read: Read) -> None:
    query = "SELECT w.start, n FROM (SELECT window(ts, '1 minute') AS w, count(*) AS n FROM events GROUP BY w)"
    assert [n for _, n in read(spark.sql(query), "complete")] == [2, 1]


def test_distinct_rows(spark: SparkSession, landing: Path, read: Read) -> None:
    assert read(spark.sql("SELECT DISTINCT k FROM events"), "complete") == [("a",), ("b",)]


def test_two_streams_joined(spark: SparkSession, landing: Path, read: Read) -> None:
    query = "SELECT l.id, r.id AS other FROM events l JOIN events r ON l.k = r.k AND l.id < r.id"
    assert read(spark.sql(query)) == [(2, 3)]


def test_grouping_in_append_mode_wants_a_watermark(spark: SparkSession, landing: Path, read: Read) -> None:
    with pytest.raises(AnalysisException, match="streaming aggregations without watermark"):
        read(spark.sql("SELECT k, count(*) FROM events GROUP BY k"))


def test_the_time_is_that_of_the_batch(spark: SparkSession, landing: Path, read: Read) -> None:
    stream = spark.sql("SELECT DISTINCT current_timestamp() FROM events")
    assert stream.columns == ["current_timestamp()"]
    assert len(read(spark.sql("SELECT current_timestamp() AS t FROM events"))) == 3
    assert spark.table("seen").distinct().count() == 1


@pytest.mark.parametrize(
    ("delay", "watermark"),
    [
        ("'1' MINUTE", "00:00:03"),
        ("1 MINUTE -30 SECONDS", "00:00:33"),
        ("'1:2' MINUTE TO SECOND", "00:00:01"),
        ("- '-1.5' SECONDS", "00:01:01.500"),
    ],
)
def test_the_delay_of_a_watermark(
    spark: SparkSession, landing: Path, read: Read, delay: str, watermark: str, tmp_path: Path
) -> None:
    stream = spark.sql(f"SELECT k FROM events WATERMARK ts DELAY OF INTERVAL {delay}")
    query = stream.dropDuplicates().writeStream.format("memory").queryName("delays").trigger(availableNow=True).start()
    finish(query)
    times = [progress.eventTime.get("watermark", "") for progress in query.recentProgress]
    assert f"2026-01-01T{watermark.ljust(12, '0') if '.' in watermark else watermark + '.000'}Z" in times


def test_a_clause_that_is_not_whole(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(ParseException, match=r"\[PARSE_SYNTAX_ERROR\] Syntax error at or near ''1 minute''"):
        assert spark.sql("SELECT * FROM events WATERMARK ts DELAY OF '1 minute'").columns
