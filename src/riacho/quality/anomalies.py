"""Find values that are out of line: above a limit, or above what the same hour of the last days leads to expect.

Both take a DataFrame with a moment and a number in each row, such as accesses per minute, and give the rows that stand
out. They are made of plain DataFrame operations, so they serve in materialized views, in batches, and on any Spark.

The statistic is a robust score. With the values of the same hour of the day on the last `days` days (or, as long as
there are fewer than `fewest` of them, of the hour before the value),

    score = (value - median) / max(1.4826 * MAD, sqrt(median), median / 10, 1)

MAD is the median distance from the median; times 1.4826 it estimates the standard deviation of normal data, and bursts
of earlier days hardly move it (Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993). Counts vary
by about their square root even when nothing happens, so less than that is no distance; nor is a tenth of the median, by
which an hour differs from its own middle when an evening begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

THRESHOLD: Final = 6.0
"""A score from which a value stands out. A normal evening stays below 3."""
DAYS: Final = 7
FEWEST: Final = 60
_NORMAL: Final = 1.4826


def above_limit(series: DataFrame, *, time: str, value: str, limit: float) -> DataFrame:
    """The rows of `series` whose value exceeds `limit`, as `scored` gives them; `expected` is the limit.

    The score says how many times the limit the value is.
    """
    from pyspark.sql import functions as F

    found = series.where(F.col(value) > F.lit(limit))
    return found.select(
        F.col(time),
        F.col(value),
        F.lit("limit").alias("rule"),
        F.lit(float(limit)).alias("expected"),
        (F.col(value) / F.lit(float(limit))).alias("score"),
    )


def out_of_line(
    series: DataFrame,
    *,
    time: str,
    value: str,
    threshold: float = THRESHOLD,
    days: int = DAYS,
    fewest: int = FEWEST,
) -> DataFrame:
    """The rows of `series` that score at least `threshold`, as `scored` gives them. Only high values stand out."""
    from pyspark.sql import functions as F

    return scored(series, time=time, value=value, days=days, fewest=fewest).where(F.col("score") >= threshold)


def scored(series: DataFrame, *, time: str, value: str, days: int = DAYS, fewest: int = FEWEST) -> DataFrame:
    """Each row's `time` and `value`, then `rule` ("history"), `expected` (the median) and its `score`.

    `time`: a TIMESTAMP column, one row for each value of it. Rows that nothing can be compared with are left out: they
    have fewer than `fewest` values of the same hour on the last `days` days, and fewer than ten in the hour before.
    """
    from pyspark.sql import functions as F

    points = series.select(
        F.col(time).alias("_time"),
        F.col(value).alias("_as_given"),
        F.col(value).cast("double").alias("_value"),
        F.to_date(time).alias("_day"),
        F.hour(time).alias("_hour"),
        F.floor(F.unix_timestamp(time) / 3600).alias("_bucket"),
    )
    by_day = _baseline(_same_hour(points, days), ["_day", "_hour"], fewest)
    # Few rows are left for this, which has an hour of values for each row instead of each hour.
    others = points.join(by_day, ["_day", "_hour"], "left_anti")
    by_hour = _baseline(_hour_before(others, points), ["_time"], 10)
    columns = ("_time", "_as_given", "_value", "_median", "_scale")
    compared = (
        points.join(by_day, ["_day", "_hour"]).select(*columns).union(others.join(by_hour, "_time").select(*columns))
    )
    return compared.select(
        F.col("_time").alias(time),
        F.col("_as_given").alias(value),
        F.lit("history").alias("rule"),
        F.col("_median").alias("expected"),
        ((F.col("_value") - F.col("_median")) / F.col("_scale")).alias("score"),
    )


def _same_hour(points: DataFrame, days: int) -> DataFrame:
    """For each day and hour, the values of that hour on the days before."""
    from pyspark.sql import functions as F

    # Not `distinct`: Spark looks at its input at once, when a pipeline's tables need not be there yet.
    wanted = points.groupBy("_day", "_hour").agg(F.count("*").alias("_there")).select("_day", "_hour")
    ahead = F.explode(F.sequence(F.lit(1), F.lit(days)))
    before = points.select(F.col("_hour"), F.col("_value"), F.col("_day").alias("_then"), ahead.alias("_ahead"))
    return before.withColumn("_day", F.expr("date_add(_then, _ahead)")).join(wanted, ["_day", "_hour"])


def _hour_before(moments: DataFrame, points: DataFrame) -> DataFrame:
    """For each of the moments, the values of the sixty minutes before it."""
    from pyspark.sql import functions as F

    wanted = moments.select("_time", F.explode(F.expr("array(_bucket, _bucket - 1)")).alias("_bucket"))
    before = points.select(F.col("_time").alias("_then"), "_bucket", "_value")
    near = wanted.join(before, "_bucket")
    return near.where("_then < _time AND _then >= _time - INTERVAL 60 MINUTES")


def _baseline(values: DataFrame, keys: list[str], fewest: int) -> DataFrame:
    """By `keys`: the `_median` of the values and the `_scale` of the score, where there are `fewest` of them.

    In one go over the values: a second one, for their distances from the median, would read all of them again.
    """
    from pyspark.sql import functions as F

    sorted_values = F.sort_array(F.collect_list("_value"))
    known = values.groupBy(*keys).agg(sorted_values.alias("_values")).where(F.size("_values") >= fewest)
    medians = known.withColumn("_median", _middle("_values"))
    apart = F.sort_array(F.transform("_values", lambda value: F.abs(value - F.col("_median"))))
    spread = medians.withColumn("_apart", apart).withColumn("_mad", _middle("_apart"))
    scale = F.greatest(F.col("_mad") * _NORMAL, F.sqrt("_median"), F.col("_median") / 10, F.lit(1.0))
    return spread.select(*keys, "_median", scale.alias("_scale"))


def _middle(column: str) -> Column:
    """The median of a sorted array."""
    from pyspark.sql import functions as F

    lower, upper = (f"element_at({column}, int((size({column}) + {one}) / 2))" for one in (1, 2))
    return F.expr(f"({lower} + {upper}) / 2")
