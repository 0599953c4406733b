"""The WHERE clauses of a read in partitions, as Spark makes them.

Source: `org.apache.spark.sql.execution.datasources.jdbc.JDBCRelation.columnPartition`.
"""

from __future__ import annotations

import logging
import re
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Final

from pyspark.sql.types import DataType, DateType, NumericType, StructField, StructType, TimestampType

from riacho import zones
from riacho.connectors.jdbc import sql_text
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.errors import AnalysisError, IllegalArgumentError, NumberFormatError

_log = logging.getLogger(__name__)

_DIVIDE: Final = Context(prec=34)
"""How Scala's BigDecimal divides."""
_WIDE: Final = Context(prec=80)
_SCALE: Final = Decimal(1).scaleb(-18)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=zones.UTC.tzinfo)
_LONG = re.compile(r"[+-]?\d+", re.ASCII)
_TIME = re.compile(r"(?P<y>\d{4,6})(?:-(?P<mo>\d{1,2})(?:-(?P<d>\d{1,2})(?:[ T](?P<time>.*)?)?)?)?", re.ASCII)
_CLOCK = re.compile(
    r"(?P<h>\d{1,2})(?::(?P<mi>\d{1,2})(?::(?P<s>\d{1,2})(?:\.(?P<f>\d{0,9}))?)?)?\s*(?P<zone>\S.*)?", re.ASCII
)


def where_clauses(options: JdbcOptions, schema: StructType) -> list[str | None]:
    """One condition for each partition; None for all rows. Raises what Spark raises."""
    if options.predicates:
        return list(options.predicates)
    name = options.given.maybe("partitionColumn")
    count = options.num_partitions or 1
    if name is None:
        return [None]
    field = _column(options, schema, name)
    zone = zones.session_zone(options.zone).tzinfo
    lower = _bound(options.given.text("lowerBound"), field.dataType, zone)
    upper = _bound(options.given.text("upperBound"), field.dataType, zone)
    if count <= 1 or lower == upper:
        return [None]
    if lower > upper:
        raise IllegalArgumentError(
            "requirement failed: Operation not allowed: the lower bound of partitioning column is larger than the "
            f"upper bound. Lower bound: {lower}; Upper bound: {upper}"
        )
    if upper - lower < count:
        _log.warning("%d partitions are read instead of %d: there are no more values", upper - lower, count)
        count = upper - lower
    if count == 1:
        return [None]
    return _ranges(sql_text.name(field.name), field.dataType, lower, upper, count, zone)


def _ranges(column: str, kind: DataType, lower: int, upper: int, count: int, zone: tzinfo) -> list[str | None]:
    start, stride = strides(lower, upper, count)
    clauses: list[str | None] = []
    for index in range(count):
        begin, start = start, start + stride
        parts = [f"{column} >= {_shown(begin, kind, zone)}"] if index else []
        if index < count - 1:  # the last one has no end, and what would be its end may be no time at all
            parts.append(f"{column} < {_shown(start, kind, zone)}")
        clauses.append(" AND ".join(parts) if index else f"{parts[0]} or {column} is null")
    return clauses


def strides(lower: int, upper: int, count: int) -> tuple[int, int]:
    """Where the first range begins to be counted from, and how long ranges are."""
    precise = _WIDE.subtract(_divided(upper, count), _divided(lower, count))
    stride = int(precise)
    lost = _DIVIDE.divide(_WIDE.multiply(_WIDE.subtract(precise, Decimal(stride)), Decimal(count)), Decimal(stride))
    shift = _WIDE.multiply(_DIVIDE.divide(lost, Decimal(2)), Decimal(stride))
    return lower + int(shift.quantize(Decimal(1), ROUND_HALF_UP, _WIDE)), stride


def _divided(bound: int, count: int) -> Decimal:
    return _DIVIDE.divide(Decimal(bound), Decimal(count)).quantize(_SCALE, ROUND_HALF_EVEN, _WIDE)


def _column(options: JdbcOptions, schema: StructType, name: str) -> StructField:
    for field in schema.fields:
        if options.same(field.name, name) or options.same(sql_text.name(field.name), name):
            if isinstance(field.dataType, NumericType | DateType | TimestampType):
                return field
            raise AnalysisError(
                f"Partition column type should be numeric, date, or timestamp, but "
                f"{field.dataType.simpleString()} found.",
                condition="_LEGACY_ERROR_TEMP_1287",
            )
    raise AnalysisError(
        f"User-defined partition column {name} not found in the JDBC relation: {schema.simpleString()}.",
        condition="_LEGACY_ERROR_TEMP_1286",
    )


def _bound(text: str, kind: DataType, zone: tzinfo) -> int:
    """A bound as Spark counts it: a number, days or microseconds since 1970."""
    if isinstance(kind, NumericType):
        if _LONG.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
            return int(text)
        raise NumberFormatError(f'For input string: "{text}"')
    try:
        moment = _moment(text.strip(), zone)
    except (ValueError, OverflowError):
        raise IllegalArgumentError(f"Cannot parse the bound value {text} as {kind.simpleString()}") from None
    if isinstance(kind, DateType):
        return (moment.date() - _EPOCH.date()).days
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(text: str, zone: tzinfo) -> datetime:
    """A date or time as Spark's casts read it. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    day = date(int(found["y"]), int(found["mo"] or 1), int(found["d"] or 1))
    clock = _CLOCK.fullmatch(found["time"] or "0")
    if clock is None:
        raise ValueError(text)
    micros = int((clock["f"] or "").ljust(6, "0")[:6] or 0)
    named = zones.session_zone(clock["zone"]).tzinfo if clock["zone"] else zone
    hour, minute, second = (int(clock[part] or 0) for part in ("h", "mi", "s"))
    return datetime(day.year, day.month, day.day, hour, minute, second, micros, tzinfo=named)


def _shown(value: int, kind: DataType, zone: tzinfo) -> str:
    """A bound as SQL."""
    if isinstance(kind, DateType):
        return f"'{(_EPOCH + timedelta(days=value)).date().isoformat()}'"
    if isinstance(kind, TimestampType):
        moment = (_EPOCH + timedelta(microseconds=value)).astimezone(zone)
        text = moment.replace(microsecond=0, tzinfo=None).isoformat(" ")
        return f"'{text}.{moment.microsecond:06d}".rstrip("0").rstrip(".") + "'"
    return str(value)
