"""Cases: a query as text, an output mode, and a history of batches with restarts in between.

Only queries that Spark accepts, and whose answer does not depend on the order of rows within a batch. `corr` is not
drawn: Spark divides by zero where all numbers of a group are equal.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from riacho.conf import WATERMARK_POLICY

Event = tuple[int | None, str | None, int | None]
"""Half minutes after midnight, key, value."""
Stream = list[list[Event]]

_MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """`streams[i][n]` are the events of stream i in batch n; after the batches in `restarts` the query is restarted."""

    query: str
    mode: str
    streams: list[Stream]
    restarts: list[int] = field(default_factory=list)
    conf: dict[str, str] = field(default_factory=dict)

    ddl = "ts timestamp, k string, v int, x double"
    schema = pa.schema([("ts", pa.timestamp("us", "UTC")), ("k", pa.string()), ("v", pa.int32()), ("x", pa.float64())])

    def phases(self) -> list[list[list[str]]]:
        """The files of each start of the query, per stream."""
        longest = max(len(stream) for stream in self.streams)
        cuts = [0, *(batch + 1 for batch in sorted(set(self.restarts)) if batch + 1 < longest), longest]
        return [
            [
                [f"{index}-{batch:04d}.parquet" for batch in range(start, end) if batch < len(stream)]
                for index, stream in enumerate(self.streams)
            ]
            for start, end in pairwise(cuts)
        ]

    def write(self, folder: Path) -> str:
        """Put the batches in a folder; the case as the line that Spark's side reads."""
        (folder / "batches").mkdir()
        for index, stream in enumerate(self.streams):
            for batch, events in enumerate(stream):
                path = folder / "batches" / f"{index}-{batch:04d}.parquet"
                pq.write_table(_table(events), path)
                os.utime(path, (1_700_000_000 + batch, 1_700_000_000 + batch))
        answer = {"folder": str(folder), "schema": self.ddl, "query": self.query, "mode": self.mode}
        return json.dumps({**answer, "phases": self.phases(), "conf": self.conf})


def _table(events: list[Event]) -> pa.Table:
    times = [None if half is None else _MIDNIGHT + timedelta(seconds=30 * half) for half, _, _ in events]
    columns: list[list[Any]] = [
        times,
        [key for _, key, _ in events],
        [value for _, _, value in events],
        [None if value is None else value / 4 for _, _, value in events],
    ]
    return pa.Table.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, Case.schema.types, strict=True)], schema=Case.schema
    )


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Batches whose event time moves on, with early, late, repeated and missing values."""
    batches = []
    now = 0
    for _ in range(draw(st.integers(1, 5))):
        now += draw(st.sampled_from([0, 5, 20, 60]))
        event = st.tuples(
            st.one_of(st.integers(max(now - 30, 0), now + 20), st.integers(0, 200), st.none()),
            st.sampled_from(["a", "b", "c", None]),
            st.none() | st.integers(-3, 9),
        )
        batches.append(draw(st.lists(event, max_size=8)))
    return batches


WINDOWS = ["F.window('ts','10 minutes')", "F.window('ts','10 minutes','5 minutes')", "F.window('ts','7 minutes','7 minutes','2 minutes')"]  # fmt: skip  # noqa: E501
AGGREGATES = [
    "F.count('*')", "F.count('v')", "F.sum('v')", "F.avg('v')", "F.min('x')", "F.max('k')", "F.sum('x')", "F.max('ts')",
    "F.stddev('x')", "F.var_pop('v')", "F.collect_list('v')", "F.collect_set('k')", "F.bool_or(F.col('v') > 3)",
    "F.count_if(F.col('v') > 2)", "F.sum(F.col('v').cast('decimal(8,2)'))", "(F.sum('v') / F.count('*') + 1)",
    "F.max_by('k',F.struct('v','k'))", "F.min_by('v',F.struct('x','ts'))", "F.max(F.struct('v','k'))",
    "F.min(F.array('v',F.minute('ts')))", "F.covar_samp(F.minute('ts'),'x')",
    "F.regr_slope('x',F.minute('ts'))", "F.regr_r2('v',F.minute('ts'))", "F.skewness('x')", "F.kurtosis('v')",
    "F.product('v')", "F.try_sum('v')", "F.try_avg('x')", "F.approx_count_distinct('v')",
    "F.approx_count_distinct('k',0.2)", "F.approx_count_distinct(F.struct('k','v'))", "F.mode('v',True)",
    "F.median('x')", "F.percentile('v',[0.2,0.7])", "F.percentile_approx('v',0.4)",
    "F.percentile_approx('ts',[0.0,0.5])", "F.expr('sum(v) filter (where x > 0.5)')",
    "F.expr('hll_sketch_estimate(hll_sketch_agg(v))')",
]  # fmt: skip
FILTERS = ["", ".where('v > 0')", ".where('k is not null')", ".where(\"ts > '2024-01-01 00:05:00'\")"]


@st.composite
def sources(draw: st.DrawFn, name: str = "a", *, marked: bool | None = None) -> tuple[str, bool]:
    """A stream, perhaps filtered, perhaps with a watermark; and whether it has one."""
    has_watermark = draw(st.booleans()) if marked is None else marked
    delay = draw(st.sampled_from(["0 seconds", "5 minutes", "90 seconds", "1 hour"]))
    text = name + draw(st.sampled_from(FILTERS))
    if has_watermark:
        text += f".withWatermark('ts','{delay}')" + draw(st.sampled_from(FILTERS))
    return text, has_watermark


def aliased(aggregates: list[str]) -> str:
    return ", ".join(f"{aggregate}.alias('x{i}')" for i, aggregate in enumerate(aggregates))


@st.composite
def aggregations(draw: st.DrawFn) -> tuple[str, str]:
    source, marked = draw(sources())
    time = draw(st.sampled_from([*WINDOWS, "'ts'", ""]))
    keys = [key for key in (time, draw(st.sampled_from(["'k'", ""]))) if key]
    chosen = draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique=True))
    modes = ["update", "complete"] + (["append"] * 2 if marked and time else [])
    how = draw(st.sampled_from(["groupBy", "groupBy", "rollup", "cube"])) if keys else "groupBy"
    query = f"{source}.{how}({', '.join(keys)}).agg({aliased(chosen)})"
    return query, draw(st.sampled_from(modes))


@st.composite
def sessions(draw: st.DrawFn) -> tuple[str, str]:
    source, marked = draw(sources())
    chosen = draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=3, unique=True))
    gap = draw(st.sampled_from(["'5 minutes'", "'30 seconds'", "F.when(F.col('k') == 'a', '9 minutes').otherwise('2 minutes')"]))  # fmt: skip  # noqa: E501
    query = f"{source}.groupBy(F.session_window('ts',{gap}),'k').agg({aliased(chosen)})"
    return query, draw(st.sampled_from(["complete"] + (["append"] * 2 if marked else [])))


@st.composite
def deduplications(draw: st.DrawFn) -> tuple[str, str]:
    within = draw(st.booleans())
    source, _ = draw(sources(marked=True if within else None))
    columns = draw(st.sampled_from(["['k']", "['k','ts']", "['ts']", "['v']"]))
    name = "dropDuplicatesWithinWatermark" if within else "dropDuplicates"
    query = draw(st.sampled_from([f"{source}.{name}({columns})", f"{source}.distinct()"]))
    return query, draw(st.sampled_from(["append", "update"]))


@st.composite
def joins(draw: st.DrawFn) -> tuple[str, str]:
    how = draw(st.sampled_from(["inner", "left", "right", "full", "left_semi"]))
    (left, _), (right, _) = (draw(sources(name, marked=None if how == "inner" else True)) for name in "ab")
    if how == "full":  # there Spark takes null for a key like any other
        left, right = (f"{side}.where('k is not null and ts is not null')" for side in (left, right))
    shape = draw(st.sampled_from(["range", "keys", "window"] + (["plain"] if how == "inner" else [])))
    if shape in ("range", "plain"):
        low, high = draw(
            st.sampled_from([("l.ts", "l.ts + interval 5 minutes"), ("l.ts - interval 3 minutes", "l.ts")])
        )
        upper = draw(st.sampled_from(["<", "<="]))
        condition = f"l.k = r.k and r.ts >= {low} and r.ts {upper} {high}" if shape == "range" else "l.k = r.k"
        columns = "'l.ts','l.k','l.v'" + (
            "" if how == "left_semi" else ",F.col('r.ts').alias('rts'),F.col('r.v').alias('rv')"
        )
        return f"{left}.alias('l').join({right}.alias('r'),F.expr('{condition}'),'{how}').select({columns})", "append"
    if shape == "keys":
        return f"{left}.join({right}.withColumnRenamed('v','u').drop('x'),['ts','k'],'{how}')", "append"
    window = ".select(F.window('ts','10 minutes').alias('w'),'k',{})"
    left_side, right_side = left + window.format("'v'"), right + window.format("F.col('v').alias('u')")
    return f"{left_side}.join({right_side},['w','k'],'{how}')", "append"


SESSION = "F.session_window('ts','2 minutes')"
CHAINS = [
    ".groupBy(F.window('ts','5 minutes'),'k').agg(F.sum('v').alias('n')).groupBy(F.window('window','10 minutes'))",
    ".dropDuplicates(['k','ts']).withColumnRenamed('v','n').groupBy(F.window('ts','10 minutes'))",
    f".groupBy({SESSION},'k').agg(F.sum('v').alias('n')).groupBy(F.window('session_window','9 minutes'))",
]


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, str]:
    source, _ = draw(sources(marked=True))
    below = draw(st.sampled_from(CHAINS))
    return f"{source}{below}.agg(F.sum('n'),F.count('*'))", "append"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    query, mode = draw(
        st.one_of(aggregations(), aggregations(), sessions(), deduplications(), joins(), joins(), chains())
    )
    inputs = [draw(streams()) for _ in range(2 if query.count("b.") or "(b" in query else 1)]
    restarts = draw(st.lists(st.integers(0, 3), max_size=2))
    policy = draw(st.sampled_from(["min", "min", "max"]))
    return Case(query, mode, inputs, restarts, {WATERMARK_POLICY.key: policy})
