"""Marks of watermarks on their way up plans as clients make them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from riacho.protos import pb
from riacho.server.plan.event_time import EventTimes
from tests.unit.server.plan.frames import columns, rate, relation


def marked() -> DataFrame:
    return rate().withWatermark("timestamp", "5 seconds")


def of(frame: DataFrame) -> dict[str, str]:
    return dict(EventTimes(columns).of(relation(frame)))


PASSED_ON: dict[str, tuple[Callable[[], DataFrame], set[str]]] = {
    "by a struct": (lambda: marked().select(F.struct(F.col("timestamp").alias("t")).alias("s")).select("s.t"), {"t"}),
    "not by the struct itself": (lambda: marked().select(F.struct("timestamp").alias("s")), set()),
    "by a name that is a field's too": (
        lambda: marked().select("timestamp", F.struct("value").alias("p")).select("p.timestamp", "timestamp"),
        {"timestamp"},
    ),
    "not by a field of an unmarked column": (
        lambda: marked().select("timestamp", F.col("value").alias("p")).select("p.timestamp"),
        set(),
    ),
    "by the side that has it": (
        lambda: rate().alias("a").join(marked().alias("b"), F.expr("a.value = b.value")).select("b.timestamp"),
        {"timestamp"},
    ),
    "not by the other side": (
        lambda: rate().alias("a").join(marked().alias("b"), F.expr("a.value = b.value")).select("a.timestamp"),
        set(),
    ),
    "all of one side": (
        lambda: rate().alias("a").join(marked().alias("b"), F.expr("a.value = b.value")).select("a.*"),
        set(),
    ),
    "by position": (lambda: marked().selectExpr("value", "timestamp").toDF("a", "b"), {"b"}),
    "by a pattern": (lambda: marked().alias("q").select(F.col("value"), marked().colRegex("`time.*`")), {"timestamp"}),
    "by a key": (lambda: marked().groupBy(F.expr("timestamp AS t")).count(), {"t"}),
    "not by an aggregate": (lambda: marked().groupBy("value").agg(F.max("timestamp").alias("timestamp")), set()),
}


@pytest.mark.parametrize("name", PASSED_ON)
def test_what_passes_a_mark_on(name: str) -> None:
    make, names = PASSED_ON[name]
    assert of(make()) == dict.fromkeys(names, "5 seconds")


def test_a_column_of_a_dataframe_has_the_mark_from_the_watermark_on() -> None:
    below = rate()
    above = below.withWatermark("timestamp", "5 seconds")
    assert of(above.where("value > 1").select(above.timestamp)) == {"timestamp": "5 seconds"}
    assert of(above.where("value > 1").select(below.timestamp)) == {}


def test_text_is_followed_as_far_as_it_is_understood() -> None:
    def query(sql: str) -> dict[str, str]:
        beside = pb.Relation(subquery_alias=pb.SubqueryAlias(input=relation(marked()), alias="s"))
        text = pb.Relation(sql=pb.SQL(query=sql))
        plan = pb.Relation(with_relations=pb.WithRelations(root=text, references=[beside]))
        return dict(EventTimes(columns).of(plan))

    assert query("SELECT v.timestamp AS t FROM s AS v LATERAL VIEW explode(value) x AS y") == {"t": "5 seconds"}
    assert query("WITH c(a, b) AS (SELECT value, timestamp FROM s) SELECT * FROM c WHERE a > :x") == {"b": "5 seconds"}
    assert query("SELECT timestamp + INTERVAL 1 HOUR AS timestamp FROM s") == {}
    assert query("FROM s SELECT timestamp") == {}
