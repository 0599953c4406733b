"""AUTO CDC beyond Spark 4.2: all versions of rows, partial updates, truncates, first loads.

What SCD type 2 makes of events is Spark's (`Scd2BatchProcessor` on its master branch); Spark 4.2 has none of this.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from riacho import pipelines as dp
from riacho.server.state.hashing import hash_keys
from tests.spec.pipelines.support import Project
from tests.spec.pipelines.test_auto_cdc import FLOW, Feed
from tests.unit.server.graph.cdc.model import Event, Values, rows, versions

pytestmark = pytest.mark.riacho_only

SCHEMA = "id BIGINT, name STRING, city STRING, seq BIGINT, op STRING"
COLUMNS = "id name city seq op"
VERSIONS = "id, name, city, __START_AT, __END_AT"
TWO: dict[str, Any] = {"stored_as_scd_type": 2, "except_column_list": ["seq", "op"]}


@pytest.fixture
def feed(project: Project, tmp_path: Path) -> Feed:
    project.spark.conf.set("spark.sql.pipelines.maxFlowRetryAttempts", "0")
    return Feed(project, tmp_path / "events")


def of(feed: Feed, columns: str = VERSIONS, table: str = "t") -> list[tuple[Any, ...]]:
    found = feed.project.spark.sql(f"SELECT {columns} FROM {feed.project.database}.{table}").collect()
    return sorted((tuple(row) for row in found), key=repr)


def test_versions_of_rows(feed: Feed) -> None:
    """An upsert opens a version, the next one ends it, so does a delete; the sequence is a column like others."""
    define = feed.flow(SCHEMA, **{**TWO, "except_column_list": ["op"]})
    feed.put((1, "alice", None, 10, "U"), (2, "bob", None, 10, "U"), (3, "carol", None, 10, "U"), columns=COLUMNS)
    assert feed.project.run(define).completed
    feed.put((1, "alicia", None, 20, "U"), (2, None, None, 20, "D"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed, "id, name, seq, __START_AT, __END_AT, __spark_autocdc_metadata.__RECORD_START_AT") == [
        (1, "alice", 10, 10, 20, 10),
        (1, "alicia", 20, 20, None, 20),
        (2, "bob", 10, 10, 20, 10),
        (3, "carol", 10, 10, None, 10),
    ]
    assert feed.project.columns("t") == (
        "struct<id:bigint,name:string,city:string,seq:bigint,__START_AT:bigint,__END_AT:bigint,"
        "__spark_autocdc_metadata:struct<__RECORD_START_AT:bigint>>"
    )
    assert feed.project.run(define, full_refresh=["t"]).completed
    assert len(of(feed)) == 4


def test_events_may_come_in_any_order(feed: Feed) -> None:
    define = feed.flow(SCHEMA, **TWO)
    feed.put((1, None, None, 40, "D"), (1, "c", None, 30, "U"), (2, None, None, 5, "D"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed) == [(1, "c", None, 30, 40)]
    feed.put((1, "a", None, 10, "U"), (1, "c", None, 30, "U"), (2, "late", None, 4, "U"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed) == [(1, "a", None, 10, 30), (1, "c", None, 30, 40), (2, "late", None, 4, 5)]
    feed.put((1, "b", None, 20, "U"), (1, None, None, 25, "D"), (2, "again", None, 9, "U"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed) == [
        (1, "a", None, 10, 20),
        (1, "b", None, 20, 25),
        (1, "c", None, 30, 40),
        (2, "again", None, 9, None),
        (2, "late", None, 4, 5),
    ]
    feed.put((2, "x", None, 9, "U"), (2, None, None, 9, "D"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed)[-1] == (2, "late", None, 4, 5)


def test_untracked_columns_do_not_make_a_version(feed: Feed) -> None:
    """The example in Spark's description of runs."""
    in_sql = """
        CREATE STREAMING TABLE s;
        CREATE FLOW f AS AUTO CDC INTO s FROM STREAM(feed) KEYS (id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq
        COLUMNS * EXCEPT (op) STORED AS SCD TYPE 2 TRACK HISTORY ON * EXCEPT (city, seq)"""
    define = feed.flow(SCHEMA, **TWO, track_history_column_list=["name"])
    feed.put(*((1, "Alice", f"at {at}", at, "U") for at in (5, 10, 15)), (1, "Charlie", None, 20, "U"), columns=COLUMNS)
    assert feed.project.run(define, in_sql).completed
    runs = [(1, "Alice", "at 15", 5, 20), (1, "Charlie", None, 20, None)]
    assert of(feed) == of(feed, table="s") == runs
    feed.put((1, "Bob", None, 12, "U"), columns=COLUMNS)
    assert feed.project.run(define, in_sql).completed
    split = [
        (1, "Alice", "at 10", 5, 12),
        (1, "Alice", "at 15", 15, 20),
        (1, "Bob", None, 12, 15),
        (1, "Charlie", None, 20, None),
    ]
    assert of(feed) == of(feed, table="s") == split


def test_nulls_that_say_nothing(feed: Feed) -> None:
    in_sql = """
        CREATE STREAMING TABLE s;
        CREATE FLOW f AS AUTO CDC INTO s FROM STREAM(feed) KEYS (id) IGNORE NULL UPDATES APPLY AS DELETE WHEN op = 'D'
        SEQUENCE BY seq COLUMNS * EXCEPT (op, seq) STORED AS SCD TYPE 2"""
    define = feed.flow(SCHEMA, except_column_list=["seq", "op"], ignore_null_updates=True)
    feed.put((1, "a", None, 10, "U"), (1, None, "x", 30, "U"), (2, "b", "y", 1, "U"), columns=COLUMNS)
    assert feed.project.run(define, in_sql).completed
    assert of(feed, "id, name, city") == [(1, "a", "x"), (2, "b", "y")]
    assert of(feed, table="s")[:2] == [(1, "a", "x", 30, None), (1, "a", None, 10, 30)]
    feed.put((1, "c", "old", 20, "U"), (2, None, None, 3, "D"), (2, "z", None, 5, "U"), columns=COLUMNS)
    assert feed.project.run(define, in_sql).completed
    assert of(feed, "id, name, city") == [(1, "c", "x"), (2, "z", None)]
    assert of(feed, table="s") == [
        (1, "a", None, 10, 20),
        (1, "c", "old", 20, 30),
        (1, "c", "x", 30, None),
        (2, "b", "y", 1, 3),
        (2, "z", None, 5, None),
    ]


def test_truncates(feed: Feed) -> None:
    define = feed.flow(SCHEMA, apply_as_truncates="op = 'T'", except_column_list=["seq", "op"])
    feed.put((1, "a", None, 10, "U"), (2, "b", None, 20, "U"), (3, "c", None, 30, "U"), columns=COLUMNS)
    assert feed.project.run(define).completed
    feed.put((None, None, None, 20, "T"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed, "id, name") == [(2, "b"), (3, "c")]
    feed.put((4, "late", None, 19, "U"), (5, "new", None, 21, "U"), (1, "back", None, 25, "U"), columns=COLUMNS)
    assert feed.project.run(define).completed
    assert of(feed, "id, name") == [(1, "back"), (2, "b"), (3, "c"), (5, "new")]


def test_columns_and_keys(feed: Feed, spark: SparkSession) -> None:
    """A sequence of several columns; a key of several; a column that comes later."""
    schema = "a INT, b STRING, v STRING, day DATE, n INT"
    define = feed.flow(
        schema, keys=["a", "b"], sequence_by="struct(day, n)", apply_as_deletes=None, stored_as_scd_type=2,
        except_column_list=["day", "n"],
    )  # fmt: skip
    feed.put(
        (1, "x", "two", "2026-01-01", 2),
        (1, "x", "one", "2026-01-01", 1),
        (1, "y", "o", "2026-01-01", 1),
        columns="a b v day n",
    )
    assert feed.project.run(define).completed
    assert of(feed, "a, b, v, __START_AT.n, __END_AT.n") == [
        (1, "x", "one", 1, 2),
        (1, "x", "two", 2, None),
        (1, "y", "o", 1, None),
    ]
    feed.put((1, "x", "three", "2025-01-01", 3, "new"), columns="a b v day n more")
    wider = feed.flow(
        schema + ", more STRING", keys=["a", "b"], sequence_by="struct(day, n)", apply_as_deletes=None,
        stored_as_scd_type=2, except_column_list=["day", "n"],
    )  # fmt: skip
    assert feed.project.run(wider).completed
    assert of(feed, "v, more, year(__START_AT.day)")[2] == ("three", "new", 2025)
    assert of(feed, "v, more")[1] == ("one", None)


def test_what_is_refused(feed: Feed) -> None:
    feed.put((1, "a", None, 1, "U"), columns=COLUMNS)
    taken = feed.flow("id BIGINT, name STRING, seq BIGINT, op STRING, __start_at INT", **TWO)
    assert "AUTOCDC_RESERVED_COLUMN_NAME_CONFLICT" in str(feed.project.dry_run(taken).error)
    assert feed.project.run(feed.flow(SCHEMA, **TWO)).completed
    other = feed.flow(SCHEMA, except_column_list=["seq", "op"])
    assert "AUTOCDC_INVALID_STATE" in str(feed.project.run(other).error)
    unknown = feed.flow(SCHEMA, **TWO, track_history_column_list=["nothing"])
    assert "AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA" in str(feed.project.dry_run(unknown).error)


def test_a_first_load_and_the_changes_since(feed: Feed, spark: SparkSession) -> None:
    """A flow that runs once may write to the same target: rows and changes are one set of events."""
    spark.sql(f"CREATE TABLE {feed.project.database}.dump AS SELECT 1L id, 'dump' name, 'x' city, 5L seq, 'U' op")

    def define() -> None:
        feed.flow(SCHEMA, **TWO)()
        dp.create_auto_cdc_flow(
            target="t", name="load", source="dump", keys=["id"], sequence_by="seq", once=True, **TWO
        )

    feed.put((1, "change", None, 7, "U"), (1, "before", None, 3, "U"), columns=COLUMNS)
    for again in (False, True):
        run = feed.project.run(define)
        assert run.completed, run.error
        assert run.of("load")[-1] == ("is IDLE." if again else "has COMPLETED.")
        assert again or run.order("load", "t")
        assert of(feed) == [(1, "before", None, 3, 5), (1, "change", None, 7, None), (1, "dump", "x", 5, 7)]


def weight(values: Values) -> int:
    """What decides between upserts of the same sequence."""
    return int(hash_keys([pa.array([values[name]], pa.string()) for name in ("name", "city")], 1).high[0])


FLOWS: dict[str, dict[str, Any]] = {
    "every_version": {"stored_as_scd_type": 2},
    "tracked": {"stored_as_scd_type": 2, "track_history_column_list": ["name"]},
    "partial_versions": {"stored_as_scd_type": 2, "ignore_null_updates": True},
    "partial_rows": {"ignore_null_updates_column_list": ["city"]},
}


def test_random_histories(feed: Feed) -> None:
    """Out of order, repeated, deletes first, in many files and runs: as plain Python that sees all at once."""
    draw = random.Random(7)
    said: dict[tuple[int, int], tuple[str | None, str | None] | None] = {}
    for _ in range(400):
        values = draw.choice([None, "a", "b"]), draw.choice([None, "x", "y"])
        said[draw.randrange(40), draw.randrange(12)] = None if draw.random() < 0.25 else values
    everything = [
        (key, *(values or (None, None)), seq, "D" if values is None else "U") for (key, seq), values in said.items()
    ]
    events = [Event(k, s, None if v is None else {"name": v[0], "city": v[1]}) for (k, s), v in said.items()]
    sent = [*everything, *draw.sample(everything, 60)]
    draw.shuffle(sent)

    def define() -> None:
        feed.define(SCHEMA, one_by_one=True)
        for name, more in FLOWS.items():
            dp.create_streaming_table(name)
            dp.create_auto_cdc_flow(
                target=name, source="feed", keys=["id"], sequence_by="seq", apply_as_deletes="op = 'D'",
                except_column_list=["seq", "op"], **more,
            )  # fmt: skip

    for first in range(0, len(sent), 120):
        for start in range(first, min(first + 120, len(sent)), 40):
            feed.put(*sent[start : start + 40], columns=COLUMNS)
        run = feed.project.run(define)
        assert run.completed, run.error
    columns = ("name", "city")
    for name, tracked, ignored in (
        ("every_version", columns, ()),
        ("tracked", ("name",), ()),
        ("partial_versions", columns, columns),
    ):
        expected = versions(events, columns, tracked, ignored, weight)
        assert of(feed, table=name) == sorted(((v.key, *v.values, v.start, v.end) for v in expected), key=repr), name
    found = {key: (a, b) for key, a, b in of(feed, "id, name, city", "partial_rows")}
    assert found == rows(events, columns, ("city",))


def test_a_declared_schema_need_not_have_what_is_the_engines_own(feed: Feed) -> None:
    declared = "id BIGINT, name STRING, city STRING, __START_AT BIGINT, __END_AT BIGINT"

    def define() -> None:
        feed.define(SCHEMA)
        dp.create_streaming_table("t", schema=declared)
        dp.create_auto_cdc_flow(**{**FLOW, **TWO})

    feed.put((1, "a", None, 1, "U"), columns=COLUMNS)
    for _ in range(2):
        run = feed.project.run(define)
        assert run.completed, run.error
    assert of(feed) == [(1, "a", None, 1, None)]
    assert feed.project.columns("t").endswith("__spark_autocdc_metadata:struct<__RECORD_START_AT:bigint>>")


def test_nulls_may_begin_to_say_nothing_later(feed: Feed) -> None:
    """Rows from before know no better than that their nulls were meant as they are now."""
    feed.put((1, "a", "x", 10, "U"), (1, "b", None, 20, "U"), columns=COLUMNS)
    assert feed.project.run(feed.flow(SCHEMA, **TWO)).completed
    feed.put((1, "c", None, 30, "U"), columns=COLUMNS)
    run = feed.project.run(feed.flow(SCHEMA, **TWO, ignore_null_updates=True))
    assert run.completed, run.error
    assert of(feed)[-1] == (1, "c", "x", 30, None)
    assert feed.project.run(feed.flow(SCHEMA, **TWO)).completed
    feed.put((1, "d", None, 40, "U"), columns=COLUMNS)
    assert feed.project.run(feed.flow(SCHEMA, **TWO)).completed
    assert of(feed)[-1] == (1, "d", None, 40, None)
