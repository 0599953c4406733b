"""Gold: minutes that are out of line, by two rules, with the users and the countries that stand out in them."""

from pyspark import pipelines as dp
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from riacho.quality import anomalies

FOUND = ("minute", "rule", "accesses", "expected", "score")
NAMED = ("user_id", "country")
TOP = 5
"""So many of each are named."""


def most(of: str) -> Column:
    """The values of `name` in rows of that kind with the highest `n`, as an array of structs, the highest first."""
    counted = F.struct((-F.col("n")).alias("minus"), "name")
    ordered = F.sort_array(F.collect_list(F.when((F.col("kind") == of) & F.col("name").isNotNull(), counted)))
    return F.transform(
        F.slice(ordered, 1, TOP),
        lambda each: F.struct(each["name"].alias(of), (-each["minus"]).alias("accesses")),
    )


@dp.materialized_view(
    name="gold.anomalies",
    comment="Minutes with too many accesses: above the limit, or out of line with the same hour of the last days",
    schema="""
    minute TIMESTAMP COMMENT 'Start of the minute',
    rule STRING COMMENT 'limit: more than access.limit.per.minute; history: see riacho.quality.anomalies',
    accesses BIGINT COMMENT 'Accesses in that minute',
    expected DOUBLE COMMENT 'The limit, or the median that the minute is compared with',
    score DOUBLE COMMENT 'How far out: times the limit, or robust standard deviations above the median',
    users ARRAY<STRUCT<user_id: STRING, accesses: BIGINT>> COMMENT 'Users with the most accesses in that minute',
    countries ARRAY<STRUCT<country: STRING, accesses: BIGINT>> COMMENT 'Countries with the most accesses in that minute'
    """,
    table_properties={"delta.enableChangeDataFeed": "true"},
)
def out_of_line() -> DataFrame:
    minutes = spark.table("gold.accesses_per_minute")
    limit = float(spark.conf.get("access.limit.per.minute"))
    found = anomalies.above_limit(minutes, time="minute", value="accesses", limit=limit).unionByName(
        anomalies.out_of_line(minutes, time="minute", value="accesses")
    )
    found = found.withColumn("score", F.round("score", 2))
    accesses = spark.table("silver.accesses").select(F.date_trunc("minute", "accessed_at").alias("minute"), *NAMED)
    each = F.explode(F.array(*(F.struct(F.lit(of).alias("kind"), F.col(of).alias("name")) for of in NAMED)))
    # What was found stands here once: it is worked out anew at each place where it stands.
    joined = found.join(accesses, "minute", "left").select(*FOUND, each.alias("each"))
    counted = joined.groupBy(*FOUND, "each.kind", "each.name").agg(F.count("*").alias("n"))
    return counted.groupBy(*FOUND).agg(most("user_id").alias("users"), most("country").alias("countries"))
