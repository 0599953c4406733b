"""The confs of Spark that riacho honours: key, type, default and meaning of each, in one table.

Whoever obeys a conf reads it through its entry here: `POLLING_DELAY.read(session.get_conf)`, or `.of(confs)` where
they have been read already. `spark.conf.get` answers from the table what nobody has set, `spark.conf.set` checks values
by it, and docs/configuration.md lists it. Source: `org.apache.spark.internal.config.ConfigBuilder`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from riacho.errors import IllegalArgumentError
from riacho.units import byte_size, time_ms

T = TypeVar("T")

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_LARGEST_INT: Final = 2**31 - 1


GetConf = Callable[[str], str | None]
"""Tells the value of a conf, None for one that is not set, such as `EngineSession.get_conf`."""


@dataclass(frozen=True)
class ConfType(Generic[T]):
    """What values a conf takes. `name`: as Spark's errors call it. `parse`: None for text that is none of them."""

    name: str
    parse: Callable[[str], T | None]
    choices: tuple[str, ...] = ()


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


def _integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text.strip()) else None
    return None if number is None or not -_LARGEST_INT - 1 <= number <= _LARGEST_INT else number


def _time_ms(text: str, unit: str = "ms") -> int | None:
    """Milliseconds, of which a time in seconds loses the fraction, as in Spark."""
    shown = text.strip()
    if " " in shown:
        return None
    found = time_ms(shown.removeprefix("-"), unit)
    if found is None:
        return None
    whole = found // 1000 * 1000 if unit == "s" else found
    return -whole if shown.startswith("-") else whole


def choice(*choices: str) -> ConfType[str]:
    """One of some words, in any case; read in upper case."""
    return ConfType("string", lambda text: text.upper() if text.upper() in choices else None, choices)


STRING: Final = ConfType[str]("string", lambda text: text)
BOOLEAN: Final = ConfType[bool]("boolean", _boolean)
INT: Final = ConfType[int]("int", _integer)
BYTES: Final = ConfType[int]("size in BYTES", byte_size)
TIME_MS: Final = ConfType[int]("time in MILLISECONDS", _time_ms)
TIME_S: Final = ConfType[int]("time in SECONDS", lambda text: _time_ms(text, "s"))
"""Read in milliseconds all the same."""


@dataclass(frozen=True)
class Conf(Generic[T]):
    """One conf.

    `default` is as `spark.conf.get` shows it; None: it has none. `accepts` and `demand`: what a value must be besides
    having the type, and what is said of one that is not. `kept`: a checkpoint keeps it, and what it kept wins over the
    session. `checked`: whether `spark.conf.set` looks at values. `read_by`: who obeys it, if not this program's code.
    """

    key: str
    type: ConfType[T]
    default: str | None
    help: str
    accepts: Callable[[T], bool] | None = None
    demand: str = ""
    kept: bool = False
    checked: bool = True
    read_by: str | None = None

    def parse(self, text: str) -> T:
        """The value of a text.

        Raises INVALID_CONF_VALUE.TYPE_MISMATCH, .OUT_OF_RANGE_OF_OPTIONS, .REQUIREMENT (IllegalArgumentError).
        """
        value = self.type.parse(text)
        if value is None and self.type.choices:
            among = ", ".join(self.type.choices)
            raise self._invalid("OUT_OF_RANGE_OF_OPTIONS", text, f"It should be one of '{among}'.", confOptions=among)
        if value is None:
            kind = self.type.name
            raise self._invalid("TYPE_MISMATCH", text, f"It should be a/an '{kind}' value.", confType=kind)
        if self.accepts is not None and not self.accepts(value):
            shown = f"{value}ms" if self.type in {TIME_MS, TIME_S} else text
            raise self._invalid("REQUIREMENT", shown, self.demand, confRequirement=self.demand)
        return value

    def read(self, get_conf: GetConf) -> T:
        """The value that a session has. Raises what `parse` raises; ValueError for one without a default."""
        return self._value(get_conf(self.key))

    def of(self, confs: Mapping[str, str]) -> T:
        """The value among confs that were read already. Raises what `read` raises."""
        return self._value(confs.get(self.key))

    def _value(self, text: str | None) -> T:
        given = text or self.default
        if given is None:
            raise ValueError(f"{self.key} is not set and has no default")
        return self.parse(given)

    def _invalid(self, kind: str, text: str, says: str, **parameters: str) -> IllegalArgumentError:
        return IllegalArgumentError.of(
            f"INVALID_CONF_VALUE.{kind}",
            f"The value '{text}' in the config \"{self.key}\" is invalid. {says}",
            sql_state="22022",
            confName=self.key,
            confValue=text,
            **parameters,
        )


def _positive(number: int) -> bool:
    return number > 0


SESSION_TIME_ZONE: Final = Conf(
    "spark.sql.session.timeZone",
    STRING,
    "UTC",
    "Time zone of days, hours and text of timestamps. riacho's default is UTC everywhere.",
    checked=False,  # zones.py does
)
SHUFFLE_PARTITIONS: Final = Conf(
    "spark.sql.shuffle.partitions",
    INT,
    "200",
    "Kept in checkpoints for Spark's sake; riacho has no shuffles.",
    accepts=_positive,
    demand="The value of spark.sql.shuffle.partitions must be positive",
    kept=True,
    read_by="checkpoints",
)
SOURCES_DEFAULT: Final = Conf(
    "spark.sql.sources.default",
    STRING,
    "delta",
    "Format of tables, reads and writes that name none (Spark: parquet).",
)
CASE_SENSITIVE: Final = Conf(
    "spark.sql.caseSensitive", BOOLEAN, "false", "Whether column names differ by case alone.", read_by="the engine"
)
ANSI: Final = Conf(
    "spark.sql.ansi.enabled", BOOLEAN, "true", "Whether bad casts and overflows raise (see compatibility)."
)
STORE_ASSIGNMENT: Final = Conf(
    "spark.sql.storeAssignmentPolicy",
    choice("ANSI", "LEGACY", "STRICT"),
    "ANSI",
    "What an INSERT casts: ANSI, STRICT or LEGACY (see catalog).",
)
PARTITION_OVERWRITE: Final = Conf(
    "spark.sql.sources.partitionOverwriteMode",
    choice("STATIC", "DYNAMIC"),
    "STATIC",
    "Whether an overwrite replaces all partitions (STATIC) or those that it writes to.",
)
PARTITION_TYPES: Final = Conf(
    "spark.sql.sources.partitionColumnTypeInference.enabled",
    BOOLEAN,
    "true",
    "Whether columns in folder names (`day=2024-01-31`) get types; else they are text.",
)
FILTER_PUSHDOWN: Final = Conf(
    "spark.sql.python.filterPushdown.enabled",
    BOOLEAN,
    "false",
    "Whether readers of Python data sources may have `pushFilters`; one that has it is refused otherwise.",
)
PUSHDOWN: Final = Conf(
    "riacho.pushdown.enabled",
    BOOLEAN,
    "true",
    "Whether what riacho reads itself in batches is told which columns and rows a plan wants.",
)
CSV_PRUNING: Final = Conf(
    "spark.sql.csv.parser.columnPruning.enabled",
    BOOLEAN,
    "true",
    "Default of the csv option `columnPruning`: look only at values that are used.",
)
BINARY_LENGTH: Final = Conf(
    "spark.sql.sources.binaryFile.maxLength",
    INT,
    str(_LARGEST_INT),
    "The most bytes that a file of the format `binaryFile` may have.",
)
CLEANER_THREADS: Final = Conf(
    "spark.sql.streaming.fileSource.cleaner.numThreads",
    INT,
    "1",
    "How many threads clean up files (`cleanSource`); riacho's queries do that themselves.",
    read_by="nobody",
)
ORC_MERGE: Final = Conf(
    "spark.sql.orc.mergeSchema", BOOLEAN, "false", "Default of the orc option `mergeSchema`: infer from all files."
)
IGNORE_CORRUPT: Final = Conf(
    "spark.sql.files.ignoreCorruptFiles",
    BOOLEAN,
    "false",
    "Default of the option `ignoreCorruptFiles` of streams of files.",
)
IGNORE_MISSING: Final = Conf(
    "spark.sql.files.ignoreMissingFiles",
    BOOLEAN,
    "false",
    "Default of the option `ignoreMissingFiles` of streams of files.",
)
PARQUET_CODEC: Final = Conf(
    "spark.sql.parquet.compression.codec", STRING, "snappy", "How Parquet files are compressed that a write makes."
)
ORC_CODEC: Final = Conf(
    "spark.sql.orc.compression.codec", STRING, "zstd", "How ORC files are compressed that a write makes."
)
AVRO_CODEC: Final = Conf(
    "spark.sql.avro.compression.codec", STRING, "snappy", "How Avro files are compressed that a write makes."
)
FILE_RECORDS: Final = Conf(
    "spark.sql.files.maxRecordsPerFile", INT, "0", "Most rows in a file that a write makes; 0: no limit."
)
JSON_NULLS: Final = Conf(
    "spark.sql.jsonGenerator.ignoreNullFields",
    BOOLEAN,
    "true",
    "Default of the JSON writer's option `ignoreNullFields`: leave fields out that are null.",
)
SINK_COMPACTION: Final = Conf(
    "spark.sql.streaming.fileSink.log.compactInterval",
    INT,
    "10",
    "One entry in so many of a file sink's log has all files so far.",
    accepts=_positive,
    demand="Please set spark.sql.streaming.fileSink.log.compactInterval to a positive number.",
)
SINK_LOG_DELETION: Final = Conf(
    "spark.sql.streaming.fileSink.log.deletion", BOOLEAN, "true", "Remove old entries of a file sink's log."
)
SINK_LOG_DELAY: Final = Conf(
    "spark.sql.streaming.fileSink.log.cleanupDelay", TIME_MS, "600000ms", "How long such entries stay at least."
)
AUTO_MERGE: Final = Conf(
    "spark.databricks.delta.schema.autoMerge.enabled",
    BOOLEAN,
    "false",
    "Let MERGE, appends and streams add columns that a Delta table lacks.",
)
RETENTION_CHECK: Final = Conf(
    "spark.databricks.delta.retentionDurationCheck.enabled",
    BOOLEAN,
    "true",
    "Refuse a VACUUM of files that are younger than a week.",
)
TXN_APP_ID: Final = Conf(
    "spark.databricks.delta.write.txnAppId", STRING, None, "Application of idempotent writes: the option `txnAppId`."
)
TXN_VERSION: Final = Conf(
    "spark.databricks.delta.write.txnVersion", STRING, None, "Number of idempotent writes: the option `txnVersion`."
)
CHECKPOINT_LOCATION: Final = Conf(
    "spark.sql.streaming.checkpointLocation", STRING, None, "Folder for the checkpoints of queries that name none."
)
SCHEMA_INFERENCE: Final = Conf(
    "spark.sql.streaming.schemaInference", BOOLEAN, "false", "Let file streams without a schema infer one."
)
NO_DATA_BATCHES: Final = Conf(
    "spark.sql.streaming.noDataMicroBatches.enabled", BOOLEAN, "true", "Run batches without input to clean up state."
)
WATERMARK_POLICY: Final = Conf(
    "spark.sql.streaming.multipleWatermarkPolicy",
    ConfType("string", str.lower),
    "min",
    "How several watermarks make one: min or max.",
    accepts=lambda value: value in {"min", "max"},
    demand="Invalid value for 'spark.sql.streaming.multipleWatermarkPolicy'. Valid values are 'min' and 'max'",
    kept=True,
)
OPERATION_CHECK: Final = Conf(
    "spark.sql.streaming.unsupportedOperationCheck", BOOLEAN, "true", "Refuse what a streaming plan cannot do."
)
CHAIN_CHECK: Final = Conf(
    "spark.sql.streaming.statefulOperator.checkCorrectness.enabled",
    BOOLEAN,
    "true",
    "Refuse chains of stateful operators whose results could be wrong.",
)
STOP_ACTIVE_RUN: Final = Conf(
    "spark.sql.streaming.stopActiveRunOnRestart", BOOLEAN, "true", "A second start of a checkpoint ends the first."
)
RECENT_PROGRESS: Final = Conf(
    "spark.sql.streaming.numRecentProgressUpdates",
    INT,
    "100",
    "`recentProgress` is shorter than this.",
)
IDLE_PROGRESS_INTERVAL: Final = Conf(
    "spark.sql.streaming.noDataProgressEventInterval", TIME_MS, "10000ms", "Time between idle progress entries."
)
POLLING_DELAY: Final = Conf("spark.sql.streaming.pollingDelay", TIME_MS, "10ms", "Time between looks at idle sources.")
BATCHES_TO_RETAIN: Final = Conf(
    "spark.sql.streaming.minBatchesToRetain", INT, "100", "Batches whose logs and state stay in the checkpoint."
)
STATE_BOUNDED: Final = Conf(
    "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage",
    STRING,
    "false",
    "Bound the memory that state takes in the server.",
)
STATE_BOUND: Final = Conf(
    "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB",
    STRING,
    "500",
    "That bound in MB, for all queries together.",
)
WATERMARK_FUTURE: Final = Conf(
    "riacho.watermark.maxFuture",
    STRING,
    None,
    "Event times further ahead of the clock than this do not move watermarks.",
)
LATE_ROWS: Final = Conf(
    "riacho.watermark.lateRows", STRING, None, "Delta table, by name or path, for rows that are dropped as late."
)
FLOW_RETRIES: Final = Conf(
    "spark.sql.pipelines.maxFlowRetryAttempts", INT, "2", "How often a failed flow is tried again; its own conf wins."
)
SHORTEST_RETRY_WAIT: Final = Conf(
    "spark.sql.pipelines.execution.watchdog.minRetryTime",
    TIME_S,
    "5000ms",
    "First wait before that; doubles each time.",
    accepts=lambda value: value >= 1000,
    demand="Watchdog minimum retry time must be at least 1 second.",
)
LONGEST_RETRY_WAIT: Final = Conf(
    "spark.sql.pipelines.execution.watchdog.maxRetryTime", TIME_S, "3600000ms", "Longest such wait."
)
CONCURRENT_FLOWS: Final = Conf(
    "spark.sql.pipelines.execution.maxConcurrentFlows", INT, "16", "How many flows of a run run at once."
)
EVENT_LOG: Final = Conf(
    "riacho.pipelines.eventLog", STRING, None, "Table name under which the catalog shows a pipeline's event log."
)
EVENT_RETENTION: Final = Conf(
    "riacho.pipelines.eventLog.retention",
    TIME_MS,
    "30d",
    "How long events stay in a pipeline's event log.",
    accepts=_positive,
    demand="Please set riacho.pipelines.eventLog.retention to a time above 0.",
)
INCREMENTAL_VIEWS: Final = Conf(
    "riacho.pipelines.incrementalViews.enabled",
    BOOLEAN,
    "true",
    "Keep materialized views up to date from changes where that gives the same rows; false: always recompute.",
)
VIEW_CHECK: Final = Conf(
    "pipelines.incompatibleViewCheck.enabled",
    BOOLEAN,
    "true",
    "Refuse batch reads of streaming views, and the reverse.",
    checked=False,  # Spark knows it as a property of flows
)
REPLAY: Final = Conf(
    "riacho.pipelines.replay",
    STRING,
    None,
    "In a graph's confs: its run replays the quarantined rows of these tables (`a,b`, or `*`), and runs no flow.",
)
REPLAY_RULES: Final = Conf(
    "riacho.pipelines.replay.rules",
    STRING,
    None,
    'With it: only rows that broke one of these rules (`a,b`; a name with a comma stands in quotes: `"a, b"`).',
)
CONTINUOUS: Final = Conf(
    "pipelines.continuous",
    BOOLEAN,
    "false",
    "Of a pipeline's `configuration`: keep its flows running (see continuous).",
    checked=False,  # it means nothing to a session
)
TRIGGER_INTERVAL: Final = Conf(
    "pipelines.trigger.interval",
    STRING,
    "0 seconds",
    "Continuous pipelines, flows, or as a table's property: least time between two batches or refreshes.",
    checked=False,  # as above
)
HANDOVER: Final = Conf(
    "riacho.delta.handover.maxBytes",
    BYTES,
    "64m",
    "How much of what is written to a Delta table is kept in memory for streams that read it; 0: nothing.",
)
SERVER_STACK_TRACE: Final = Conf(
    "spark.sql.connect.serverStacktrace.enabled",
    BOOLEAN,
    "false",
    "Print the server's stack trace with an error.",
    read_by="PySpark's client",
)
JVM_STACK_TRACE: Final = Conf(
    "spark.sql.pyspark.jvmStacktrace.enabled", BOOLEAN, "false", "There is no JVM.", read_by="PySpark's client"
)

CONFS: Final[tuple[Conf[Any], ...]] = tuple(conf for conf in list(globals().values()) if isinstance(conf, Conf))
"""All of them, in the order of the documentation."""
_BY_KEY: Final = {conf.key: conf for conf in CONFS}


def known(key: str) -> Conf[Any] | None:
    """The conf of that key, if it is one that riacho honours."""
    return _BY_KEY.get(key)


def check(key: str, value: str) -> None:
    """Refuse a value that a conf does not take. Raises what `Conf.parse` raises."""
    conf = known(key)
    if conf is not None and conf.checked:
        conf.parse(value)
