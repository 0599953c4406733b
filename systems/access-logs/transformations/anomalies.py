"""Gold: minutes that are out of line, by two rules, with the users and the countries that stand out in them."""

from pyspark import pipelines as dp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from riacho.quality import anomalies

TOP = 5
"""So many users and countries are named."""


def most(accesses: DataFrame, of: str) -> DataFrame:
    """By minute, the values of column `of` with the most accesses, as an array of structs, the most first."""
    counted = accesses.groupBy("minute", of).agg(F.count("*").alias("n"))
    ordered = F.sort_array(F.collect_list(F.struct((-F.col("n")).alias("minus"), F.col(of).alias("name"))))
    top = F.transform(
        F.slice(ordered, 1, TOP),
        lambda each: F.struct(each["name"].alias(of), (-each["minus"]).alias("accesses")),
    )
    return counted.groupBy("minute").agg(top.alias("found"))


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
    accesses = spark.table("silver.accesses").withColumn("minute", F.date_trunc("minute", "accessed_at"))
    noted = accesses.join(found.select("minute"), "minute", "left_semi")
    return (
        found.join(most(noted, "user_id").withColumnRenamed("found", "users"), "minute", "left")
        .join(most(noted, "country").withColumnRenamed("found", "countries"), "minute", "left")
        .select("minute", "rule", "accesses", "expected", F.round("score", 2).alias("score"), "users", "countries")
    )
