"""SQL text that groups and joins streams."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed, Watched


class Views:
    """Two streams under names, and queries of them."""

    def __init__(self, spark: SparkSession, watch: Watch, left: Feed, right: Feed) -> None:
        self._spark, self._watch = spark, watch
        self._names = {name: f"{name}_{uuid4().hex[:8]}" for name in ("a", "b")}
        for name, feed in (("a", left), ("b", right)):
            feed.stream.withWatermark("ts", "5 minutes").createOrReplaceTempView(self._names[name])

    def query(self, sql: str, mode: str = "append") -> Watched:
        return self._watch(self._spark.sql(sql.format(**self._names)), mode)


def test_grouping_sets(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    views = Views(spark, watch, left, right)
    window = "window(ts, '10 minutes')"
    queries = [
        f"SELECT window.start AS s, k, count(*) AS n FROM {{a}} GROUP BY ROLLUP({window}, k)",
        f"SELECT window.start AS s, k, count(*) AS n FROM {{a}} GROUP BY {window}, k WITH ROLLUP",
        f"SELECT window.start AS s, k, count(*) AS n FROM {{a}} GROUP BY GROUPING SETS (({window}, k), {window}, ())",
        f"SELECT window.start AS s, k, count(*) AS n FROM {{a}} GROUP BY GROUPING SETS (({window}, k), ({window}))",
    ]
    rolled_up = [views.query(query) for query in queries]
    cube = views.query(
        f"SELECT window.start AS s, upper(k) AS u, grouping(upper(k)) AS g, count(*) AS n FROM {{a}} "
        f"GROUP BY CUBE({window}, upper(k))"
    )
    left.put((1, "a", 1), (2, "b", 1), (3, "a", 1), (30, "a", 1))
    for query in rolled_up:
        assert query.step() == [(0, "a", 2), (0, "b", 1), (0, None, 3)]
    assert cube.step() == [(0, "A", 0, 2), (0, "B", 0, 1), (0, None, 1, 3)]


def test_keys_that_are_not_listed_or_computed(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    views = Views(spark, watch, left, right)
    every = views.query("SELECT window(ts, '10 minutes') AS w, k, sum(v) AS total FROM {a} GROUP BY ALL")
    field = views.query(
        "WITH c AS (SELECT ts AS t, k FROM {a}) "
        "SELECT window(t, '10 minutes').start, count(*) AS n FROM c GROUP BY window(t, '10 minutes')"
    )
    assert field.frame.columns == ["window.start", "n"]
    inside = views.query("SELECT ts, upper(k) || '!' AS u, v % 2 + 1 AS p FROM {a} GROUP BY ts, upper(k), v % 2, ts")
    left.put((1, "a", 1), (2, "a", 2), (30, "a", 1))
    assert every.step() == [((0, 10), "a", 3)]
    assert field.step() == [(0, 2)]
    assert inside.step() == [(1, "A!", 2), (2, "A!", 1)]


def test_joins_by_where(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    views = Views(spark, watch, left, right)
    condition = "x.k = y.k AND y.ts >= x.ts AND y.ts <= x.ts + INTERVAL 5 MINUTES"
    joined = views.query(f"SELECT x.k, y.v FROM {{a}} x, {{b}} y WHERE {condition} AND x.v > 0")
    left.put((1, "a", 1), (1, "b", 0), (2, "c", 1))
    right.put((2, "a", 10), (2, "b", 20), (9, "c", 30))
    assert joined.step() == [("a", 10)]
    left.put((60, "z", 1))
    right.put((60, "z", 40))
    assert joined.step() == [("z", 40)]
    left.put((61, "z", 1))
    right.put((62, "z", 50))
    assert joined.step() == [("z", 50), ("z", 50)]
    assert joined.state() == {"total": 4, "updated": 2, "late": 0}


def test_distinct_rows_come_out_when_their_time_has_passed(
    spark: SparkSession, left: Feed, right: Feed, watch: Watch
) -> None:
    views = Views(spark, watch, left, right)
    every = views.query("SELECT DISTINCT * FROM {a}")
    some = views.query("SELECT DISTINCT x.*, upper(k) AS u FROM {a} x WHERE v > 1")
    updated = views.query("SELECT DISTINCT * FROM {a}", "update")
    left.put((1, "a", 1), (1, "a", 1), (2, "b", 2))
    assert every.step() == some.step() == []
    assert updated.step() == [(1, "a", 1), (2, "b", 2)]
    left.put((30, "c", 3), (2, "b", 2))
    assert every.step() == [(1, "a", 1), (2, "b", 2)]
    assert some.step() == [(2, "b", 2, "B")]


def test_rows_but_those_of_a_table(spark: SparkSession, left: Feed, watch: Watch) -> None:
    table = spark.createDataFrame([("a", 1), ("z", None)], "k string, v int")
    rows = left.stream.select("k", "v")
    updated = watch(rows.subtract(table), "update")
    timed = left.stream.withWatermark("ts", "5 minutes")
    some = timed.select("ts", "k").subtract(table.selectExpr("TIMESTAMP '2024-01-01 00:01:00' AS ts", "k"))
    passed = watch(some)
    left.put((1, "a", 1), (1, "b", 1), (2, "b", 1), (3, "z", None))
    assert updated.step() == [("b", 1)]
    left.put((30, "b", 1), (2, "b", 1), (30, "c", 1))
    assert updated.step() == [("b", 1), ("c", 1)]
    assert passed.step() == [(1, "b"), (2, "b"), (3, "z")]
    query = watch(rows.subtract(table))
    with pytest.raises(StreamingQueryException, match="UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK"):
        query.step()
