"""The confs of Spark that riacho honours, with Spark's defaults.

One table: `spark.conf.get` answers from it what nobody has set, and docs/configuration.md lists it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conf:
    """One conf: its key, Spark's default as text, and what it does in riacho."""

    key: str
    default: str
    help: str


CONFS = (
    Conf(
        "spark.sql.session.timeZone",
        "UTC",
        "Time zone of days, hours and text of timestamps. riacho's default is UTC everywhere.",
    ),
    Conf("spark.sql.shuffle.partitions", "200", "Kept in checkpoints for Spark's sake; riacho has no shuffles."),
    Conf("spark.sql.sources.default", "delta", "Format of tables and of reads that name none (Spark: parquet)."),
    Conf("spark.sql.caseSensitive", "false", "Whether column names differ by case alone."),
    Conf("spark.sql.ansi.enabled", "true", "Whether bad casts and overflows raise (see compatibility)."),
    Conf("spark.sql.storeAssignmentPolicy", "ANSI", "What an INSERT casts: ANSI, STRICT or LEGACY (see catalog)."),
    Conf("spark.sql.streaming.schemaInference", "false", "Let file streams without a schema infer one."),
    Conf(
        "spark.sql.csv.parser.columnPruning.enabled",
        "true",
        "Default of the csv option `columnPruning`: look only at values that are used.",
    ),
    Conf("spark.sql.streaming.noDataMicroBatches.enabled", "true", "Run batches without input to clean up state."),
    Conf("spark.sql.streaming.multipleWatermarkPolicy", "min", "How several watermarks make one: min or max."),
    Conf("spark.sql.streaming.unsupportedOperationCheck", "true", "Refuse what a streaming plan cannot do."),
    Conf(
        "spark.sql.streaming.statefulOperator.checkCorrectness.enabled",
        "true",
        "Refuse chains of stateful operators whose results could be wrong.",
    ),
    Conf("spark.sql.streaming.stopActiveRunOnRestart", "true", "A second start of a checkpoint ends the first."),
    Conf("spark.sql.streaming.numRecentProgressUpdates", "100", "Length of recentProgress."),
    Conf("spark.sql.streaming.noDataProgressEventInterval", "10000", "Milliseconds between idle progress entries."),
    Conf("spark.sql.streaming.pollingDelay", "10", "Milliseconds between looks at idle sources."),
    Conf("spark.sql.streaming.minBatchesToRetain", "100", "Batches whose logs and state stay in the checkpoint."),
    Conf(
        "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage",
        "false",
        "Bound the memory that state takes in the server.",
    ),
    Conf(
        "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB",
        "500",
        "That bound in MB, for all queries together.",
    ),
    Conf("riacho.watermark.maxFuture", "", "Event times further ahead of the clock than this do not move watermarks."),
    Conf("riacho.watermark.lateRows", "", "Delta table, by name or path, for rows that are dropped as late."),
    Conf("spark.sql.pipelines.maxFlowRetryAttempts", "2", "How often a failed flow is tried again; its own conf wins."),
    Conf("spark.sql.pipelines.execution.watchdog.minRetryTime", "5s", "First wait before that; doubles each time."),
    Conf("spark.sql.pipelines.execution.watchdog.maxRetryTime", "3600s", "Longest such wait."),
    Conf("spark.sql.pipelines.execution.maxConcurrentFlows", "16", "How many flows of a run run at once."),
    Conf("pipelines.incompatibleViewCheck.enabled", "true", "Refuse batch reads of streaming views, and the reverse."),
    Conf("spark.sql.connect.serverStacktrace.enabled", "false", "Print the server's stack trace with an error."),
    Conf("spark.sql.pyspark.jvmStacktrace.enabled", "false", "There is no JVM."),
)

SPARK_DEFAULTS = {conf.key: conf.default for conf in CONFS}

CHECKPOINT_LOCATION = "spark.sql.streaming.checkpointLocation"
"""Folder for the checkpoints of queries that name none; unset by default."""
