"""Replays of quarantined rows by DataFrame operations alone, for a Spark that knows none; and what a replay did.

The rules are those that decorators of `riacho.pipelines` gave; a stock Spark has no others. A replay is the same three
steps that riacho's server takes: the rows that pass are marked with a number in one MERGE, appended to their table
under a transaction of that number (`txnAppId`), and removed. One that was cut off is finished by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from riacho.errors import IllegalArgumentError, SparkRuntimeError, UnsupportedOperationError
from riacho.ids import new_uuid
from riacho.quarantine import SUFFIX, is_quarantine, named

if TYPE_CHECKING:
    from pyspark.pipelines.flow import Flow
    from pyspark.pipelines.output import Output
    from pyspark.sql import Column, DataFrame, SparkSession

    from riacho.pipelines.plans import Rule

APPLICATION: Final = "riacho-replay"
MAX_ATTEMPTS: Final = 5
"""How often a change of the quarantine is tried that others overtake."""
FIRST_WAIT_S: Final = 0.2
_TAKEN, _DROPPED, _STAYS, _FATAL = "taken", "dropped", "stays", "fatal"


@dataclass(frozen=True)
class ReplayedTable:
    """What a replay did to the quarantine of one table, in rows; `remark`: what else there is to say."""

    table: str
    judged: int = 0
    replayed: int = 0
    dropped: int = 0
    stayed: int = 0
    finished: int = 0
    remark: str = ""

    @classmethod
    def read(cls, table: str, told: str) -> ReplayedTable:
        """What riacho's server tells of a replay: a word and a number each, then the remark."""
        head, _, remark = told.partition("; ")
        numbers = {name: int(number) for name, number in (part.split(" ") for part in head.split(", "))}
        return cls(table=table, **numbers, remark=remark)


@dataclass
class Definitions:
    """A registry of a pipeline's definitions that keeps its flows and sends nothing to the server of `spark`.

    `graph`: the id of a graph there, to which `riacho.pipelines` counts what is defined.
    """

    spark: SparkSession
    graph: str
    flows: list[Flow] = field(default_factory=list)
    views: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # What `riacho.pipelines` asks of a registry, beside PySpark's own methods.
        self._spark = self.spark
        self._client: Any = self.spark.client
        self._dataflow_graph_id = self.graph

    def register_output(self, output: Output) -> None:
        from pyspark.pipelines.output import MaterializedView

        if isinstance(output, MaterializedView):
            self.views.add(output.name)

    def register_flow(self, flow: Flow) -> None:
        self.flows.append(flow)

    def register_auto_cdc_flow(self, flow: Any) -> None:
        """Its rows are not replayed."""

    def register_sql(self, sql_text: str, file_path: Path) -> None:
        """A stock Spark takes no rules in SQL."""

    def by_target(self) -> dict[str, list[Flow]]:
        """The flows by what they write to."""
        found: dict[str, list[Flow]] = {}
        for flow in self.flows:
            found.setdefault(flow.target, []).append(flow)
        return found


def rules_of(flow: Flow) -> list[Rule]:
    """The rules about single rows that a flow's function was decorated with."""
    from riacho.pipelines.plans import Rule

    return [rule for rule in getattr(flow.func, "rules", ()) if isinstance(rule, Rule)]


def replay(
    spark: SparkSession,
    definitions: Definitions,
    database: str | None,
    tables: Sequence[str] = (),
    rules: Sequence[str] = (),
    *,
    dry: bool = False,
) -> Iterator[ReplayedTable]:
    """Replay the quarantined rows of a pipeline's tables, or of some; what came of each, as it is done.

    `database`: where names without one belong. `rules`: only rows that broke one of these. Raises SparkRuntimeError for
    rows that break a rule which fails its flow, UnsupportedOperationError for tables that are not Delta,
    IllegalArgumentError for a table that the pipeline has not, and PySpark's exceptions.
    """

    def full(name: str) -> str:
        return name if "." in name or database is None else f"{database}.{name}"

    known = {full(table): flows for table, flows in definitions.by_target().items()}
    views = {full(view) for view in definitions.views}
    missing = [table for table in map(full, tables) if table not in known]
    if missing:
        raise IllegalArgumentError(
            f"There is nothing to replay into {', '.join(missing)}: the pipeline has no such table in Python. It has "
            f"{', '.join(sorted(known)) or 'none'}."
        )
    for table in map(full, tables) if tables else known:
        if not spark.catalog.tableExists(named(table)) or not is_quarantine(spark.table(named(table))):
            continue
        if table in views:
            yield ReplayedTable(table, remark="a materialized view: its next refresh applies the rules of now")
        else:
            yield _SparkReplay(spark, table, known[table], rules).run(dry=dry)


class _SparkReplay:
    """The replay of one table's quarantine."""

    def __init__(self, spark: SparkSession, table: str, flows: Sequence[Flow], rules: Sequence[str]) -> None:
        self._spark = spark
        self._table = table
        self._quarantine = named(table)
        self._flows = flows
        self._rules = rules
        for name in (table, self._quarantine):
            kind = spark.sql(f"DESCRIBE DETAIL {name}").collect()[0]["format"]
            if kind != "delta":
                raise UnsupportedOperationError(f"The table {name} has the format {kind}; a replay needs Delta tables.")

    def run(self, *, dry: bool) -> ReplayedTable:
        """See `replay`."""
        finished = 0 if dry else sum(self._finish(number) for number in self._unfinished())
        verdicts = self._verdicts()
        fates = {row["fate"]: row["count"] for row in verdicts.groupBy("fate").count().collect()}
        if fates.get(_FATAL):
            raise self._violated(verdicts)
        remark = self._broken(verdicts) if fates.get(_STAYS) else ""
        taken = fates.get(_TAKEN, 0)
        if not dry and fates:
            number = time.time_ns() // 1000
            # A table that does not take such rows is met before they are marked.
            self._append(self._spark.table(self._quarantine).limit(0), {})
            self._persistently(lambda: self._take(verdicts, number))
            taken = self._finish(number)
        return ReplayedTable(
            self._table, sum(fates.values()), taken, fates.get(_DROPPED, 0), fates.get(_STAYS, 0), finished, remark
        )

    def _unfinished(self) -> list[int]:
        marks = self._spark.table(self._quarantine).select(f"{SUFFIX}.replay").distinct().collect()
        return sorted(row.replay for row in marks if row.replay is not None)

    def _verdicts(self) -> DataFrame:
        """The rows that wait: their id, their fate, and the rules that they break now, and why."""
        from pyspark.sql import functions as F

        rows = self._spark.table(self._quarantine).where(F.col(f"{SUFFIX}.replay").isNull())
        if self._rules:
            wanted = F.array(*(F.lit(rule.lower()) for rule in self._rules))
            rows = rows.where(F.arrays_overlap(F.transform(f"{SUFFIX}.rules", F.lower), wanted))
        if len(self._flows) == 1:
            return _judged(rows, rules_of(self._flows[0]))
        # As long as the flow is still there, a row is asked for the rules of its own; else for those of all.
        last = F.element_at(F.split(f"{SUFFIX}.flow", "[.]"), -1)
        names = [flow.name.rpartition(".")[2] for flow in self._flows]
        parts = [
            _judged(rows.where(last == name), rules_of(flow)) for name, flow in zip(names, self._flows, strict=True)
        ]
        everything = {rule.name: rule for flow in self._flows for rule in rules_of(flow)}
        rest = rows.where(last.isNull() | ~last.isin(*names))
        return reduce(lambda one, other: one.unionByName(other), [*parts, _judged(rest, list(everything.values()))])

    def _take(self, verdicts: DataFrame, number: int) -> None:
        view = f"riacho_verdicts_{new_uuid().replace('-', '')}"
        verdicts.createOrReplaceTempView(view)
        note = f"q.{SUFFIX}"
        changed = f"NOT ({note}.rules <=> v.rules AND {note}.reason <=> v.reason)"
        try:
            self._spark.sql(
                f"MERGE INTO {self._quarantine} q USING {view} v ON {note}.id = v.id AND {note}.replay IS NULL "  # noqa: S608
                f"WHEN MATCHED AND v.fate = '{_TAKEN}' THEN UPDATE SET {note}.replay = {number}L "
                f"WHEN MATCHED AND v.fate = '{_DROPPED}' THEN DELETE "
                f"WHEN MATCHED AND v.fate = '{_STAYS}' AND {changed} "
                f"THEN UPDATE SET {note}.rules = v.rules, {note}.reason = v.reason"
            ).collect()
        finally:
            self._spark.catalog.dropTempView(view)

    def _finish(self, number: int) -> int:
        """Append the rows that are marked with a number, unless that was done, and remove them; how many there were."""
        marked = self._spark.table(self._quarantine).where(f"{SUFFIX}.replay = {number}")
        count = marked.count()
        if count:
            once = {"txnAppId": f"{APPLICATION}-{self._quarantine}-{number}", "txnVersion": "1"}
            self._append(marked, once)
            statement = f"DELETE FROM {self._quarantine} WHERE {SUFFIX}.replay = {number}"  # noqa: S608 - a number
            self._persistently(lambda: self._spark.sql(statement).collect())
        return int(count)

    def _append(self, rows: DataFrame, options: dict[str, str]) -> None:
        """`mergeSchema`: rows keep what they had."""
        writer = rows.drop(SUFFIX).write.format("delta").mode("append").option("mergeSchema", "true")
        writer.options(**options).saveAsTable(self._table)

    @staticmethod
    def _persistently(change: Callable[[], object]) -> None:
        """Make a change of the quarantine again that a flow has overtaken."""
        from pyspark.errors import PySparkException

        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                change()
            except PySparkException as error:
                if attempt == MAX_ATTEMPTS or "DELTA_CONCURRENT" not in str(error):
                    raise
                time.sleep(FIRST_WAIT_S * 2**attempt)
            else:
                return

    def _broken(self, verdicts: DataFrame) -> str:
        from pyspark.sql import functions as F

        rules = verdicts.where(F.col("fate") == _STAYS).select(F.explode("rules").alias("rule"))
        found = rules.groupBy("rule").count().orderBy("rule").collect()
        return ", ".join(f"{row['rule']}: {row['count']}" for row in found)

    def _violated(self, verdicts: DataFrame) -> SparkRuntimeError:
        from pyspark.sql import functions as F

        rules = verdicts.where(F.col("fate") == _FATAL).select(F.explode("rules").alias("rule")).distinct().collect()
        broken = ", ".join(sorted(row.rule for row in rules))
        return SparkRuntimeError(
            f"Rows in the quarantine of {self._table} break rules, of which one fails its flow now: {broken}. Nothing "
            "was changed: correct these rows with UPDATE, remove them with DELETE, or let the rules quarantine them."
        )


def _judged(rows: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    from pyspark.sql import functions as F

    holds = [F.coalesce(rule.column, F.lit(False)) for rule in rules]
    both = list(zip(rules, holds, strict=True))

    def broken(*violations: str) -> Column:
        found: Iterable[Column] = (~held for rule, held in both if rule.on_violation in violations)
        return reduce(or_, found, F.lit(False))

    kept_out = [(rule, held) for rule, held in both if rule.on_violation != "warn"]
    names = [F.when(~held, F.lit(rule.name)) for rule, held in kept_out]
    texts = [F.when(~held, F.lit(rule.text)) for rule, held in kept_out]
    listed = F.filter(F.array(*names), lambda name: name.isNotNull()) if names else F.array().cast("array<string>")
    fate = (
        F.when(broken("fail"), _FATAL)
        .when(broken("quarantine"), _STAYS)
        .when(broken("drop"), _DROPPED)
        .otherwise(_TAKEN)
    )
    return rows.select(
        F.col(f"{SUFFIX}.id").alias("id"),
        fate.alias("fate"),
        listed.alias("rules"),
        F.concat_ws("; ", *texts).alias("reason"),
    )
