"""Flows that read Python data sources: what the session registered, its flows know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
)
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow

from tests.spec.pipelines.support import Project
from tests.spec.user_sources import by_value, source

by_value(__name__)


class Numbers(DataSourceReader):
    def read(self, _: InputPartition) -> Iterator[Any]:
        yield (1,)
        yield (2,)


class Stream(DataSourceStreamReader, SupportsTriggerAvailableNow):
    def initialOffset(self) -> dict[str, int]:
        return {"at": 0}

    def latestOffset(self, start: dict[str, int], limit: Any) -> dict[str, int]:
        return {"at": min(start["at"] + 2, 4)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        return [InputPartition(number) for number in range(start["at"], end["at"])]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        yield (partition.value,)

    def prepareForTriggerAvailableNow(self) -> None:
        pass


def test_flows_read_them(spark: SparkSession, project: Project) -> None:
    spark.dataSource.register(
        source(
            "numbers",
            schema=lambda _: "x int",
            reader=lambda self, schema: Numbers(),
            streamReader=lambda self, schema: Stream(),
        )
    )

    def define() -> None:
        @dp.materialized_view
        def batch() -> DataFrame:
            return spark.read.format("numbers").load()

        @dp.table
        def streamed() -> DataFrame:
            return spark.readStream.format("numbers").load()

    outcome = project.run(define)
    # Not `completed`: PySpark's client fails on metrics that Spark's Python workers send after this.
    assert outcome.events[-1] == "Run is COMPLETED.", outcome
    assert project.table("batch") == [(1,), (2,)]
    assert project.table("streamed") == [(0,), (1,), (2,), (3,)]
