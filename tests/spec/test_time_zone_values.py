"""Functions of time, from every source, in any zone: what a calendar says, and what Spark says.

The model is Python's `zoneinfo`. Many moments go into each case, among them the seconds around each change of the
clocks that the zone has in the year drawn.
"""

from __future__ import annotations

import ast
import json
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import reduce
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, write_text

ZONE = "spark.sql.session.timeZone"
ZONES = (
    "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo", "Australia/Lord_Howe",
    "Europe/London", "Pacific/Auckland", "Pacific/Kiritimati", "Etc/GMT-3", "UTC",
)  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _added_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _shown(local: datetime) -> str:
    """As a cast to STRING prints it: no zeros behind the last digit of the second's fraction."""
    return (
        f"{local:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") if local.microsecond else f"{local:%Y-%m-%d %H:%M:%S}"
    )


def _iso(local: datetime) -> str:
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03}" + (
        "Z" if local.utcoffset() == timedelta() else f"{offset[:3]}:{offset[3:5]}"
    )


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


Model = Callable[[datetime, tzinfo], Any]
"""The value of an expression at a moment in the local time of a zone."""

FUNCTIONS: Mapping[str, Model] = {
    "string(ts)": lambda local, _: _shown(local),
    "string(to_date(ts))": lambda local, _: str(local.date()),
    "string(CAST(ts AS DATE))": lambda local, _: str(local.date()),
    "year(ts)": lambda local, _: local.year,
    "quarter(ts)": lambda local, _: (local.month + 2) // 3,
    "month(ts)": lambda local, _: local.month,
    "day(ts)": lambda local, _: local.day,
    "dayofweek(ts)": lambda local, _: local.isoweekday() % 7 + 1,
    "weekday(ts)": lambda local, _: local.weekday(),
    "dayofyear(ts)": lambda local, _: local.timetuple().tm_yday,
    "weekofyear(ts)": lambda local, _: local.isocalendar().week,
    "hour(ts)": lambda local, _: local.hour,
    "minute(ts)": lambda local, _: local.minute,
    "second(ts)": lambda local, _: local.second,
    "extract(HOUR FROM ts)": lambda local, _: local.hour,
    "date_part('DAY', ts)": lambda local, _: local.day,
    "date_format(ts, 'yyyy/MM/dd HH-mm-ss')": lambda local, _: f"{local:%Y/%m/%d %H-%M-%S}",
    "to_char(ts, 'yyyyMMdd')": lambda local, _: f"{local:%Y%m%d}",
    "to_json(struct(ts))": lambda local, _: json.dumps({"ts": _iso(local)}, separators=(",", ":")),
    "to_csv(struct(ts))": lambda local, _: _iso(local),
    "string(date_add(ts, 1))": lambda local, _: str(local.date() + timedelta(1)),
    "string(date_sub(ts, 1))": lambda local, _: str(local.date() - timedelta(1)),
    "CAST(datediff(ts, DATE'2000-01-01') AS INT)": lambda local, _: (local.date() - date(2000, 1, 1)).days,
    "string(add_months(ts, 1))": lambda local, _: str(_added_months(local.date(), 1)),
    "string(last_day(ts))": lambda local, _: str(local.date().replace(day=monthrange(local.year, local.month)[1])),
    "unix_micros(date_trunc('MONTH', ts))": lambda local, zone: _micros(_midnight(local.date().replace(day=1), zone)),
    "unix_micros(date_trunc('DAY', ts))": lambda local, zone: _micros(_midnight(local.date(), zone)),
    "unix_micros(CAST(CAST(to_date(ts) AS TIMESTAMP_NTZ) AS TIMESTAMP))": lambda local, zone: _micros(
        _midnight(local.date(), zone)
    ),
    "from_unixtime(unix_timestamp(date_trunc('SECOND', ts)))": lambda local, _: f"{local:%Y-%m-%d %H:%M:%S}",
    "unix_micros(ts)": lambda local, _: _micros(local),
    "hour(timestamp_micros(unix_micros(ts)))": lambda local, _: local.hour,
    "hour(array(ts)[0]) + hour(struct(ts).ts)": lambda local, _: 2 * local.hour,
    "hour(coalesce(NULL, ts))": lambda local, _: local.hour,
    "unix_micros(ts + INTERVAL 1 MONTH)": lambda local, zone: _micros(
        datetime.combine(_added_months(local.date(), 1), local.timetz().replace(fold=0), zone)
    ),
}


def expected(moments: Sequence[datetime], zone: tzinfo) -> list[tuple[Any, ...]]:
    """What the functions give for each moment, in order."""
    local = [moment.astimezone(zone) for moment in moments]
    return [tuple(model(each, zone) for model in FUNCTIONS.values()) for each in local]


def answers(frame: DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """What they gave, by source."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in frame.orderBy("source", "id").collect():
        found.setdefault(row[0], []).append(tuple(row)[2:])
    return found


def asked(source: str, frame: DataFrame) -> DataFrame:
    columns = [f"{text} AS c{at}" for at, text in enumerate(FUNCTIONS)]
    return frame.selectExpr(f"'{source}' AS source", "id", *columns)


def check(given: Mapping[str, list[tuple[Any, ...]]], moments: Sequence[datetime], zone: str) -> None:
    """Raises AssertionError that tells source, moment and function of what differs."""
    right = expected(moments, _tzinfo(zone))
    wrong = [
        (source, zone, str(moment), function, found, should)
        for source, rows in given.items()
        for moment, row, correct in zip(moments, rows, right, strict=True)
        for function, found, should in zip(FUNCTIONS, row, correct, strict=True)
        if found != should
    ]
    assert not wrong, f"{len(wrong)} wrong, such as {wrong[:5]}"


def _tzinfo(zone: str) -> tzinfo:
    return ZoneInfo(zone)


def edges(zone: str, year: int) -> list[datetime]:
    """The moments of a year at which the clocks of a zone change, found by halving each day that has one."""
    found, info = [], _tzinfo(zone)
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year:
        low, high = day, day + timedelta(1)
        if low.astimezone(info).utcoffset() != high.astimezone(info).utcoffset():
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                same = middle.astimezone(info).utcoffset() == low.astimezone(info).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found += [high.replace(microsecond=0) + timedelta(seconds=n) for n in (-1, 0, 1, 3600)]
        day += timedelta(1)
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[datetime]]:
    """A zone, and moments."""
    zone = draw(st.sampled_from(ZONES))
    first, last = (datetime(year, 12, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1949, 2099))
    times = st.datetimes(first, last, timezones=st.just(UTC))
    drawn = draw(st.lists(times, min_size=20, max_size=60))
    return zone, [*drawn, *edges(zone, draw(st.integers(1970, 2098)))]


def write_json(path: Path, moments: Sequence[datetime]) -> None:
    lines = [json.dumps({"id": at, "ts": f"{each:%Y-%m-%dT%H:%M:%S.%fZ}"}) for at, each in enumerate(moments)]
    write_text(path, "\n".join(lines) + "\n")


def write_csv(path: Path, moments: Sequence[datetime]) -> None:
    write_text(path, "".join(f"{at},{each:%Y-%m-%dT%H:%M:%S.%fZ}\n" for at, each in enumerate(moments)))


@given(case=cases())
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_batches_of_any_source(
    spark: SparkSession, database: str, tmp_path: Path, case: tuple[str, list[datetime]]
) -> None:
    zone, moments = case
    spark.conf.set(ZONE, zone)
    write_json(tmp_path / "json" / "a.json", moments)
    write_csv(tmp_path / "csv" / "a.csv", moments)
    table, schema = f"{database}.t", "id INT, ts TIMESTAMP"
    given = spark.createDataFrame(list(enumerate(moments)), schema)
    given.write.format("delta").mode("overwrite").saveAsTable(table)
    given.write.mode("overwrite").parquet(str(tmp_path / "parquet"))
    spark.table(table).createOrReplaceTempView("v")
    folder = spark.sql(f"DESCRIBE DETAIL {table}").first()
    assert folder is not None
    sources = {
        "given": given,
        "table": spark.table(table),
        "text": spark.sql(f"SELECT * FROM {table}"),
        "path": spark.read.format("delta").load(folder["location"]),
        "view": spark.table("v"),
        "json": spark.read.schema(schema).json(str(tmp_path / "json")),
        "csv": spark.read.schema(schema).csv(str(tmp_path / "csv")),
        "parquet": spark.read.parquet(str(tmp_path / "parquet")),
    }
    whole = reduce(DataFrame.unionAll, (asked(source, frame) for source, frame in sources.items()))
    check(answers(whole), moments, zone)


def test_streams_of_any_source(spark: SparkSession, database: str, tmp_path: Path) -> None:
    zone = "America/Sao_Paulo"
    moments = [*edges(zone, 2018), *edges(zone, 1999), EPOCH, datetime(1950, 1, 1, tzinfo=UTC)]
    write_json(tmp_path / "json" / "a.json", moments)
    write_csv(tmp_path / "csv" / "a.csv", moments)
    table, schema = f"{database}.t", "id INT, ts TIMESTAMP"
    given = spark.read.schema(schema).json(str(tmp_path / "json"))
    given.write.format("delta").saveAsTable(table)
    given.write.parquet(str(tmp_path / "parquet"))
    spark.conf.set(ZONE, zone)
    sources = {
        "table": spark.readStream.table(table),
        "json": spark.readStream.schema(schema).json(str(tmp_path / "json")),
        "csv": spark.readStream.schema(schema).csv(str(tmp_path / "csv")),
        "parquet": spark.readStream.schema(schema).parquet(str(tmp_path / "parquet")),
    }
    whole = reduce(DataFrame.unionAll, (asked(source, frame) for source, frame in sources.items()))
    finish(whole.writeStream.format("memory").queryName("asked").trigger(availableNow=True).start())
    check(answers(spark.table("asked")), moments, zone)
    # The same asked of what streams have written or handed over.
    raw = reduce(
        DataFrame.unionAll, (frame.select(F.lit(name).alias("s"), "id", "ts") for name, frame in sources.items())
    )
    finish(raw.writeStream.format("memory").queryName("raw").trigger(availableNow=True).start())
    options = {"checkpointLocation": str(tmp_path / "checkpoint"), "path": str(tmp_path / "out")}
    finish(raw.writeStream.format("delta").options(**options).trigger(availableNow=True).start())
    seen, columns = tmp_path / "seen", list(FUNCTIONS)

    def note(batch: DataFrame, _: int) -> None:
        rows = batch.where("s = 'json'").orderBy("id").selectExpr(*columns).collect()
        seen.write_text(repr([tuple(row) for row in rows]))

    finish(raw.writeStream.foreachBatch(note).trigger(availableNow=True).start())
    check({"batch": ast.literal_eval(seen.read_text())}, moments, zone)
    written = spark.read.format("delta").load(str(tmp_path / "out"))
    one = reduce(
        DataFrame.unionAll,
        (asked("sink", written.where("s = 'csv'")), asked("memory", spark.table("raw").where("s = 'table'"))),
    )
    check(answers(one), moments, zone)
