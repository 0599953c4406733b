"""What expectations are on any Spark server: operations on DataFrames.

    hint riacho_checked
      filter: what is kept            raise_error for rules that make the flow fail
        observe: rows, and those that break each rule
          hint riacho_expectations    the rules themselves
            the query

Stock Spark does not know the hints and drops them. riacho takes the query and the rules and does the rest by itself,
in one pass over the rows. Rows to be quarantined go into a table by a flow of its own, which riacho has no need of.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

from google.protobuf.message import Message
from pyspark.pipelines.flow import Flow
from pyspark.pipelines.graph_element_registry import get_active_graph_element_registry
from pyspark.pipelines.output import MaterializedView, StreamingTable
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

Condition = str | Column
WARN: Final = "warn"
DROP: Final = "drop"
QUARANTINE: Final = "quarantine"
FAIL: Final = "fail"

_RULES: Final = "riacho_expectations"
_CHECKED: Final = "riacho_checked"
_ONLY_HERE: Final = "riacho_quarantine"
_NOTE: Final = "_quarantine"
_NUMBER: Final = "__riacho_number_"


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule about one row."""

    name: str
    on_violation: str
    condition: Condition

    @property
    def text(self) -> str:
        if isinstance(self.condition, str):
            return self.condition
        return str(self.condition).removeprefix("Column<'").removesuffix("'>")

    @property
    def column(self) -> Column:
        return F.expr(self.condition) if isinstance(self.condition, str) else self.condition


@dataclass(frozen=True, eq=False)
class Unique:
    """A rule that the rows after the first of a key break; see `rules.expect_unique`."""

    name: str
    on_violation: str
    keys: tuple[str, ...]
    order_by: tuple[str | Column, ...]
    watermark: tuple[str, str] | None

    @property
    def text(self) -> str:
        return f"unique ({', '.join(self.keys)})"

    @property
    def number(self) -> Column:
        """The place of a row among those of its key."""
        order = [F.expr(each) if isinstance(each, str) else each for each in self.order_by]
        return F.row_number().over(Window.partitionBy(*self.keys).orderBy(*(order or self.keys)))


AnyRule = Rule | Unique


def flow_being_defined(function: object) -> Flow | None:
    """The flow whose query `function` is being called for; None if somebody else calls it."""
    caller = inspect.stack(0)[2].frame  # a query function is not told whose it is
    flow = caller.f_locals.get("flow")
    return flow if isinstance(flow, Flow) and flow.func is function else None


def of_flow(frame: DataFrame, rules: Sequence[AnyRule], flow: Flow | None) -> DataFrame:
    """The rows of a flow that keep the rules; defines the flow that quarantines the others, if there are to be any."""
    dataset = "query" if flow is None else flow.target
    if flow is not None and any(rule.on_violation == QUARANTINE for rule in rules):
        with _outside_of_query_functions(frame):
            _define_quarantine(frame, rules, flow)
    return applied(frame, rules, dataset)


def applied(frame: DataFrame, rules: Sequence[AnyRule], name: str) -> DataFrame:
    """The rows of `frame` that keep the rules. Raises ValueError for what a stream cannot do with repeated rows."""
    prepared = _prepared(frame, rules)
    kept = prepared.rows.observe(f"{_RULES}.{name}", *prepared.metrics())
    keep = prepared.keep(name)
    if keep is not None:
        kept = kept.filter(keep)
    return prepared.without_helpers(kept).hint(_CHECKED)


@dataclass(frozen=True)
class _Prepared:
    """Rows with all that their rules need: `holds` says of each rule whether it does, null counting as not."""

    rows: DataFrame
    rules: Sequence[AnyRule]
    holds: Sequence[Column]
    helpers: Sequence[str]

    def broken(self, *violations: str) -> Column:
        """Whether a row breaks one of the rules with these consequences."""
        found = [~holds for rule, holds in zip(self.rules, self.holds, strict=True) if rule.on_violation in violations]
        return reduce(or_, found, F.lit(False))

    def has(self, *violations: str) -> bool:
        return any(rule.on_violation in violations for rule in self.rules)

    def without_helpers(self, rows: DataFrame) -> DataFrame:
        """`rows` with the columns of the query; Spark would analyse a `drop`, when other tables are not there yet."""
        return rows.selectExpr(f"* EXCEPT ({', '.join(self.helpers)})") if self.helpers else rows

    def metrics(self) -> list[Column]:
        """What is counted: all rows, where they go, and those that break each rule."""
        lost = F.count_if(self.broken(DROP) & ~self.broken(QUARANTINE))
        return [
            F.count(F.lit(1)).alias("rows"),
            F.count_if(self.broken(QUARANTINE)).alias("quarantined"),
            lost.alias("dropped"),
            *(
                F.count_if(~holds).alias(f"failed: {rule.name}")
                for rule, holds in zip(self.rules, self.holds, strict=True)
            ),
        ]

    def keep(self, name: str) -> Column | None:
        """What is true of the rows that are written; raises an error at one that must not be there."""
        if not self.has(DROP, QUARANTINE, FAIL):
            return None
        kept = ~self.broken(DROP, QUARANTINE)
        if not self.has(FAIL):
            return kept
        said = F.concat(
            F.lit(f"Flow '{name}' failed to meet the expectation. Violated expectations: '"),
            self.told(FAIL),
            F.lit("'"),
        )
        return F.when(self.broken(FAIL), F.raise_error(said).cast("boolean")).otherwise(kept)

    def told(self, *violations: str) -> Column:
        """The broken rules with these consequences, as text."""
        return F.concat_ws("; ", *(self._if_broken(violations, lambda rule: rule.text)))

    def names(self, *violations: str) -> Column:
        """The names of the broken rules with these consequences."""
        return F.filter(F.array(*self._if_broken(violations, lambda rule: rule.name)), lambda name: name.isNotNull())

    def _if_broken(self, violations: tuple[str, ...], say: Any) -> Iterable[Column]:
        return (
            F.when(~holds, F.lit(say(rule)))
            for rule, holds in zip(self.rules, self.holds, strict=True)
            if rule.on_violation in violations
        )


def _prepared(frame: DataFrame, rules: Sequence[AnyRule]) -> _Prepared:
    streaming = is_streaming(frame)
    marks: list[str | Column] = []
    holds: list[Column] = []
    helpers: dict[str, Column] = {}
    for rule in rules:
        if isinstance(rule, Rule):
            marks += [rule.name, rule.on_violation, rule.text, rule.column]
            holds.append(F.coalesce(rule.column, F.lit(False)))
        elif streaming:
            frame = _first_of_each_key(frame, rule)
            marks += [rule.name, f"unique:{rule.on_violation}", rule.text, F.lit(True)]
            holds.append(F.lit(True))
        else:
            helper = f"{_NUMBER}{len(helpers)}"
            helpers[helper] = rule.number
            marks += [rule.name, f"unique:{rule.on_violation}", rule.text, rule.number == 1]
            holds.append(F.col(helper) == 1)
    rows = frame.hint(_RULES, *marks)
    return _Prepared(rows.withColumns(helpers) if helpers else rows, rules, holds, list(helpers))


def _first_of_each_key(frame: DataFrame, rule: Unique) -> DataFrame:
    if rule.on_violation != DROP:
        raise ValueError(
            f"The expectation '{rule.name}' is to {rule.on_violation} rows of a stream that repeat a key, but a stream "
            'can only drop them. Use on_violation="drop", or check a materialized view.'
        )
    if rule.order_by:
        raise ValueError(
            f"The expectation '{rule.name}' orders the rows of a stream, which come in the order that they come in. "
            "Leave order_by out, or check a materialized view."
        )
    if rule.watermark is None:
        return frame.dropDuplicates(list(rule.keys))
    return frame.withWatermark(*rule.watermark).dropDuplicatesWithinWatermark(list(rule.keys))


def is_streaming(frame: Any) -> bool:
    """Whether a query reads a stream, as far as its plan shows; the server is not asked."""
    return _streams(frame._plan.plan(frame.sparkSession.client))  # noqa: SLF001 - it has no other way to be looked at


def _streams(message: Message) -> bool:
    for field, value in message.ListFields():
        if field.name == "is_streaming" and value:
            return True
        if field.name == "query" and isinstance(value, str) and _names_a_stream(value):
            return True
        parts = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
        if any(isinstance(part, Message) and _streams(part) for part in parts):
            return True
    return False


def _names_a_stream(query: str) -> bool:
    """Whether SQL text reads `STREAM t`. What is wrongly taken for it makes the server say so."""
    return "STREAM" in query.upper().replace("(", " ").split()


@contextmanager
def _outside_of_query_functions(frame: Any) -> Iterator[None]:
    """Requests meanwhile are those of a file: a server allows no definition within a query function."""
    local = frame.sparkSession.client.thread_local
    extensions = getattr(local, "user_context_extensions", [])
    local.user_context_extensions = extensions[:-1]
    try:
        yield
    finally:
        local.user_context_extensions = extensions


FORMATS: Final[dict[tuple[str, str], str | None]] = {}
"""The formats of datasets, by graph and name, as far as they are known: quarantine tables have them too."""

_DEFINED: Final[set[tuple[str, str]]] = set()
"""The quarantine tables that were defined, by graph: several flows of a table have one."""


def graph_of(registry: Any) -> str:
    """The id of the graph that a registry registers in."""
    return str(registry._dataflow_graph_id)  # noqa: SLF001 - it has no other way to be told apart


def _define_quarantine(frame: DataFrame, rules: Sequence[AnyRule], flow: Flow) -> None:
    """The table and the flow that stock Spark needs for rows that are quarantined."""
    registry = get_active_graph_element_registry()
    target = f"{flow.target}{_NOTE}"
    make = StreamingTable if is_streaming(frame) else MaterializedView
    own_output = flow.name == flow.target
    place = (graph_of(registry), target)
    if place not in _DEFINED:
        _DEFINED.add(place)
        registry.register_output(
            make(
                name=target,
                comment=f"Rows that broke a rule of {flow.target}",
                source_code_location=flow.source_code_location,
                table_properties={"riacho.quarantine": flow.target},
                partition_cols=None,
                cluster_by=None,
                schema=None,
                format=FORMATS.get((place[0], flow.target)),
            )
        )
    name = target if own_output else f"{flow.name}{_NOTE}"
    quarantined = _quarantined(frame, rules, flow.name)
    registry.register_flow(
        Flow(
            name=name,
            target=target,
            spark_conf=flow.spark_conf,
            source_code_location=flow.source_code_location,
            func=lambda: quarantined,
        )
    )


def _quarantined(frame: DataFrame, rules: Sequence[AnyRule], flow: str) -> DataFrame:
    """The rows that are to be quarantined, with the column that says why."""
    prepared = _prepared(frame, rules)
    why = (DROP, QUARANTINE)
    file = F.input_file_name()
    note = F.struct(
        F.expr("uuid()").alias("id"),
        prepared.names(*why).alias("rules"),
        prepared.told(*why).alias("reason"),
        F.lit(flow).alias("flow"),
        F.nullif(file, F.lit("")).alias("source"),
        F.lit(None).cast("bigint").alias("batch_id"),
        F.current_timestamp().alias("quarantined_at"),
        F.lit(None).cast("bigint").alias("replay"),
    )
    noted = prepared.rows.filter(prepared.broken(QUARANTINE)).withColumn(_NOTE, note)
    return prepared.without_helpers(noted).hint(_ONLY_HERE)
