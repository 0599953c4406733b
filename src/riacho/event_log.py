"""The event log of a pipeline as its readers see it: on any Spark that reads the Delta table in the pipeline's storage.

Only the table is read, so a pipeline that runs somewhere else can be looked at as well. The columns and what `details`
holds are described in docs/event-log.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

LEVELS: Final = ("METRICS", "INFO", "WARN", "ERROR")
"""From what there is most of to what matters most."""
NUMBER: Final = "sequence.data_plane_id.seq_no"
"""What events are ordered by."""
_LEDGER: Final = "$.flow_progress.row_ledger."
_FIGURES: Final = ("rows_in", "out", "quarantined", "dropped", "late", "duplicate", "rescued", "figures.filtered")
_EXPECTATIONS: Final = "array<struct<name: string, dataset: string, passed_records: bigint, failed_records: bigint>>"
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELED"})
"""States of an update that is over."""
_BAD: Final = frozenset({"FAILED", "SKIPPED"})
"""States that say that something is wrong. To be stopped is none: a continuous pipeline ends like that."""


def table_of(storage: str) -> str:
    """The folder of the table, given a pipeline's storage."""
    return f"{storage.rstrip('/')}/system/events"


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted. `level`: these and what matters more; `flow`: by its name or the last part of it."""

    level: str = "INFO"
    types: tuple[str, ...] = ()
    flow: str | None = None
    since: datetime | None = None


def read(spark: SparkSession, table: str) -> DataFrame:
    """All events. Raises PySpark's exceptions, if there is no such table."""
    return spark.read.format("delta").load(table)


def wanted(frame: DataFrame, chosen: EventFilter) -> DataFrame:
    """The events that are wanted."""
    from pyspark.sql import functions as F

    frame = frame.where(F.col("level").isin(*LEVELS[LEVELS.index(chosen.level) :]))
    if chosen.types:
        frame = frame.where(F.col("event_type").isin(*chosen.types))
    if chosen.flow is not None:
        name = F.lower(F.col("origin.flow_name"))
        flow = chosen.flow.lower()
        frame = frame.where((name == flow) | name.endswith(f".{flow}"))
    if chosen.since is not None:
        frame = frame.where(F.col("timestamp") >= F.lit(chosen.since))
    return frame


def latest(frame: DataFrame, limit: int) -> list[Row]:
    """The last events, the oldest of them first."""
    from pyspark.sql import functions as F

    return list(reversed(frame.orderBy(F.col(NUMBER).desc()).limit(limit).collect()))


@dataclass(frozen=True)
class RuleFacts:
    """An expectation in an update: how many rows kept it."""

    dataset: str
    name: str
    passed: int
    failed: int

    @property
    def rate(self) -> float | None:
        """The part of the rows that kept it; None if there were none."""
        rows = self.passed + self.failed
        return self.passed / rows if rows else None


@dataclass(frozen=True)
class FlowFacts:
    """A flow in an update: its last state, what its batches add up to, and the last one of them.

    `rows`: the ledger's figures by name, a figure None that no batch knows. `unbalanced`: batches whose rows do not add
    up. `checked`: the ways in which its ledgers could be checked. `last`: the details of the last batch.
    """

    name: str
    state: str = "QUEUED"
    error: str | None = None
    batches: int = 0
    last_batch: int | None = None
    last_time: datetime | None = None
    rows: dict[str, int | None] = field(default_factory=dict)
    unbalanced: int = 0
    checked: tuple[str, ...] = ()
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def backlog_bytes(self) -> int | None:
        found: int | None = self.last.get("metrics", {}).get("backlog_bytes")
        return found

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.state not in _BAD and not self.unbalanced


@dataclass(frozen=True)
class UpdateFacts:
    """An update of a pipeline, as its events tell of it."""

    update_id: str
    pipeline: str
    state: str
    started: datetime
    last_heard: datetime
    error: str | None
    flows: tuple[FlowFacts, ...]
    rules: tuple[RuleFacts, ...]

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong: neither it nor a flow has failed, and all rows add up."""
        return self.state not in _BAD and all(flow.is_well for flow in self.flows)


def last_update(spark: SparkSession, table: str) -> UpdateFacts | None:
    """What there is to tell of the last update; None if there was none. Raises PySpark's exceptions."""
    from pyspark.sql import functions as F

    frame = read(spark, table)
    begun = frame.where("event_type = 'create_update'").orderBy(F.col(NUMBER).desc()).limit(1).collect()
    if not begun:
        return None
    (first,) = begun
    own = frame.where(F.col("origin.update_id") == first.origin.update_id)
    told = own.where("event_type = 'update_progress' OR (event_type = 'flow_progress' AND level <> 'METRICS')")
    update = _Told()
    for row in told.orderBy(NUMBER).collect():
        update.take(row)
    heard = own.agg(F.max("timestamp")).collect()[0][0]
    flows = {flow.name: flow for flow in update.flows()}
    for flow in _counted(own, flows):
        flows[flow.name] = flow
    return UpdateFacts(
        first.origin.update_id,
        first.origin.pipeline_name,
        update.state,
        first.timestamp,
        heard,
        update.error,
        tuple(flows.values()),
        tuple(_rules(own)),
    )


class _Told:
    """What the events of an update say, in their order."""

    def __init__(self) -> None:
        self.state = "INITIALIZING"
        self.error: str | None = None
        self._states: dict[str, str] = {}
        self._errors: dict[str, str | None] = {}

    def take(self, row: Row) -> None:
        details = json.loads(row.details)
        if row.event_type == "update_progress":
            self.state = details["update_progress"]["state"]
            self.error = _error(row)
        elif "row_ledger" not in details["flow_progress"] and row.origin.flow_name is not None:
            self._states[row.origin.flow_name] = details["flow_progress"]["status"]
            self._errors[row.origin.flow_name] = _error(row)

    def flows(self) -> Iterator[FlowFacts]:
        for name, state in self._states.items():
            yield FlowFacts(name, state, self._errors.get(name))


def _error(row: Row) -> str | None:
    return row.error.exceptions[0].message if row.error and row.error.exceptions else None


def _counted(own: DataFrame, flows: dict[str, FlowFacts]) -> Iterator[FlowFacts]:
    """The flows with what their batches add up to."""
    from pyspark.sql import functions as F

    balance = F.get_json_object("details", f"{_LEDGER}balance")
    found = (
        own.where("event_type = 'flow_progress'")
        .where(balance.isNotNull())
        .groupBy(F.col("origin.flow_name").alias("flow"))
        .agg(
            F.count("*").alias("batches"),
            F.max("origin.batch_id").alias("last_batch"),
            F.max("timestamp").alias("last_time"),
            F.sum((balance == "MISMATCH").cast("int")).alias("unbalanced"),
            F.collect_set(balance).alias("checked"),
            F.max_by("details", NUMBER).alias("last"),
            *(F.sum(_figure(name)).alias(_plain(name)) for name in _FIGURES),
        )
    )
    for row in found.collect():
        flow = flows.get(row.flow) or FlowFacts(row.flow)
        yield FlowFacts(
            row.flow,
            flow.state,
            flow.error,
            row.batches,
            row.last_batch,
            row.last_time,
            {_plain(name): row[_plain(name)] for name in _FIGURES},
            row.unbalanced,
            tuple(sorted(row.checked)),
            json.loads(row["last"])["flow_progress"],
        )


def _plain(figure: str) -> str:
    return figure.rpartition(".")[2]


def _figure(name: str) -> Column:
    from pyspark.sql import functions as F

    return F.get_json_object("details", f"{_LEDGER}{name}").cast("bigint")


def _rules(own: DataFrame) -> Sequence[RuleFacts]:
    from pyspark.sql import functions as F

    text = F.get_json_object("details", "$.flow_progress.data_quality.expectations")
    each = F.explode(F.from_json(text, _EXPECTATIONS)).alias("rule")
    found = (
        own.where("event_type = 'flow_progress'")
        .where(text != "[]")
        .select(each)
        .groupBy("rule.dataset", "rule.name")
        .agg(F.sum("rule.passed_records").alias("passed"), F.sum("rule.failed_records").alias("failed"))
    )
    return sorted(
        (RuleFacts(row.dataset, row.name, row.passed, row.failed) for row in found.collect()),
        key=lambda rule: (rule.dataset, rule.name),
    )
