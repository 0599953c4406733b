"""What a count of the rows read can be held against."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.rewrite import RESOLVE, rewrite
from riacho.server.plan.row_shape import RowShape, row_shape
from tests.unit.server.plan.frames import rate, relation, static

Change = Callable[[DataFrame], DataFrame]
SOURCE = pb.Relation()
SOURCE.read.is_streaming = True
SOURCE.read.named_table.unparsed_identifier = "raw"

FRAMES: dict[str, tuple[Change, RowShape]] = {
    "source": (lambda df: df, RowShape()),
    "columns": (lambda df: df.withColumn("x", F.col("value") + 1).drop("value").toDF("a", "b").fillna(0), RowShape()),
    "watermark": (lambda df: df.withWatermark("timestamp", "1 minute").hint("x").repartition(2), RowShape()),
    "first of each": (lambda df: df.dropDuplicates(["value"]), RowShape()),
    "union": (lambda df: df.union(df).unionByName(df), RowShape()),
    "filter": (lambda df: df.where("value > 1"), RowShape(filtered=True)),
    "without nulls": (lambda df: df.na.drop().dropDuplicates(["value"]), RowShape(filtered=True)),
    "generator": (lambda df: df.select(F.explode(F.array("value"))), RowShape(others=("explode",))),
    "generator in text": (lambda df: df.selectExpr("explode(array(value))"), RowShape(others=("explode",))),
    "group": (lambda df: df.where("value > 1").groupBy("value").count(), RowShape(True, ("aggregate",))),
    "join": (lambda df: df.join(static(), "value"), RowShape(others=("join",))),
    "limit": (lambda df: df.limit(3), RowShape(others=("limit",))),
    "sample": (lambda df: df.sample(0.5, 3), RowShape(others=("sample",))),
}
TEXTS = {
    "SELECT id + 1 AS id, upper(k) AS k FROM STREAM raw AS r": RowShape(),
    "SELECT id FROM STREAM raw UNION ALL SELECT k FROM STREAM raw": RowShape(),
    "WITH r AS (SELECT * FROM STREAM raw WHERE id > 1) SELECT id FROM r": RowShape(filtered=True),
    "SELECT explode(ids) AS id FROM STREAM raw": RowShape(others=("explode",)),
    "SELECT raw.id FROM STREAM raw JOIN dim ON raw.id = dim.id": RowShape(others=("join",)),
    "SELECT DISTINCT id FROM STREAM raw": RowShape(others=("aggregate",)),
    "SELECT id FROM STREAM raw UNION ALL SELECT id FROM dim": RowShape(others=("set op",)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_shape_of_a_frame(name: str) -> None:
    change, shape = FRAMES[name]
    assert row_shape(rewrite(relation(change(rate())), Context(), RESOLVE)) == shape


@pytest.mark.parametrize("text", TEXTS)
def test_the_shape_of_text(text: str) -> None:
    plan = rewrite(pb.Relation(sql=pb.SQL(query=text)), Context(), RESOLVE)
    assert row_shape(plan) == TEXTS[text]
    assert row_shape(pb.Relation()).others == ("unknown",)


def test_text_that_is_not_understood_is_not_row_by_row() -> None:
    plan = rewrite(
        pb.Relation(sql=pb.SQL(query="SELECT id FROM STREAM raw LATERAL VIEW f(k) AS x")), Context(), RESOLVE
    )
    assert row_shape(plan).others == ("sql text",)
