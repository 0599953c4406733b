"""Quarantine tables of pipelines: which there are, and what is in them. On any Spark that has such tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from riacho.identifiers import quote_if_needed

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

SUFFIX: Final = "_quarantine"
"""How the names of quarantine tables end, and the column of their notes."""
_FIELDS: Final = frozenset({"rules", "reason", "flow", "source", "batch_id", "quarantined_at", "replay"})


@dataclass(frozen=True)
class BrokenRule:
    """Rows in the quarantine of `table` that broke `rule`. A row that broke several is in the count of each."""

    table: str
    rule: str
    rows: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class QuarantineFacts:
    """The quarantine of `table`, a name with its database. `replaying`: rows of a replay that has not ended."""

    table: str
    rows: int
    replaying: int
    first: datetime | None
    last: datetime | None
    rules: tuple[BrokenRule, ...]


def find(spark: SparkSession) -> list[str]:
    """The tables that have a quarantine, by name with their database, in order."""
    names = []
    for database in sorted(each.name for each in spark.catalog.listDatabases()):
        for table in spark.catalog.listTables(database, f"*{SUFFIX}"):
            name = f"{quote_if_needed(database)}.{quote_if_needed(table.name.removesuffix(SUFFIX))}"
            if not table.isTemporary and is_quarantine(spark.table(named(name))):
                names.append(name)
    return sorted(names)


def is_quarantine(frame: DataFrame) -> bool:
    """Whether a table has the note that says why a row is there."""
    from pyspark.sql.types import StructType

    kinds = {field.name: field.dataType for field in frame.schema}
    note = kinds.get(SUFFIX)
    return isinstance(note, StructType) and set(note.names) >= _FIELDS


def named(table: str) -> str:
    """The quarantine of a table, as SQL names it."""
    start, dot, last = table.rpartition(".")
    if last.endswith("`"):
        return f"{start}{dot}{last[:-1]}{SUFFIX}`"
    return f"{start}{dot}{last}{SUFFIX}"


def facts(spark: SparkSession, table: str) -> QuarantineFacts:
    """How many rows the quarantine of a table holds, by rule, and since when. Raises PySpark's exceptions."""
    from pyspark.sql import functions as F

    note = spark.table(named(table)).select(f"{SUFFIX}.*")
    times = F.min("quarantined_at").alias("first"), F.max("quarantined_at").alias("last")
    (whole,) = note.agg(F.count(F.lit(1)).alias("rows"), F.count("replay").alias("replaying"), *times).collect()
    rules = (
        note.select(F.explode("rules").alias("rule"), "quarantined_at")
        .groupBy("rule")
        .agg(F.count(F.lit(1)).alias("rows"), *times)
        .orderBy(F.desc("rows"), "rule")
        .collect()
    )
    broken = tuple(BrokenRule(table, each.rule, each.rows, each.first, each.last) for each in rules)
    return QuarantineFacts(table, whole.rows, whole.replaying, whole.first, whole.last, broken)


def rows(spark: SparkSession, table: str, rules: Sequence[str] = (), limit: int = 20) -> pa.Table:
    """Quarantined rows of a table, the latest first: all they have, and the note as the last column."""
    from pyspark.sql import functions as F

    frame = spark.table(named(table))
    if rules:
        wanted = F.array(*(F.lit(rule.lower()) for rule in rules))
        frame = frame.where(F.arrays_overlap(F.transform(f"{SUFFIX}.rules", F.lower), wanted))
    return frame.orderBy(F.desc(f"{SUFFIX}.quarantined_at"), f"{SUFFIX}.id").limit(limit).toArrow()


def note_of(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of `rows` in two: what it had, and why it is there."""
    rest = dict(row)
    return rest, rest.pop(SUFFIX) or {}
