"""Confs of a pipeline and of its tables and flows reach the streaming query that runs them."""

from __future__ import annotations

from pathlib import Path

from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import Outcome, Project
from tests.spec.support import files

RETAIN = "spark.sql.streaming.minBatchesToRetain"
ONCE = {"spark.sql.pipelines.maxFlowRetryAttempts": "0"}


def failed(outcome: Outcome) -> bool:
    return any("minBatchesToRetain has to be positive" in event for event in outcome.events)


def test_a_tables_own_conf(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.table(spark_conf={RETAIN: "0", **ONCE})
        def wrong() -> DataFrame:
            return files(spark, landing)

        @dp.table(spark_conf={RETAIN: "5"})
        def right() -> DataFrame:
            return files(spark, landing)

    outcome = project.run(define)
    assert failed(outcome)
    assert not outcome.completed
    assert outcome.of("right")[-1] == "has COMPLETED."
    assert spark.conf.get(RETAIN) == "100"


def test_a_flows_own_conf(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        dp.create_streaming_table("target")

        @dp.append_flow(target="target", spark_conf={RETAIN: "0", **ONCE})
        def wrong() -> DataFrame:
            return files(spark, landing)

    assert failed(project.run(define))


def test_the_conf_of_the_pipeline(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.table
        def wrong() -> DataFrame:
            return files(spark, landing)

    assert failed(project.run(define, conf={RETAIN: "0", **ONCE}))


def test_a_conf_of_another_type(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.table(spark_conf={"spark.sql.streaming.pollingDelay": "soon", **ONCE})
        def wrong() -> DataFrame:
            return files(spark, landing)

    outcome = project.run(define)
    said = "\n".join([*outcome.events, str(outcome.error)])
    assert "The value 'soon' in the config \"spark.sql.streaming.pollingDelay\" is invalid" in said
