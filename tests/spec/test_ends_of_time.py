"""Times at the ends of what SQL has: the last microsecond of the year 9999, and years of fewer than four digits."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

MOMENTS = ["9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.9995", "0001-01-01 00:00:00", "0987-06-05 04:03:02.1"]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_NTZ"])
@pytest.mark.parametrize("partitioned", [False, True])
def test_delta_tables_hold_them(spark: SparkSession, database: str, kind: str, partitioned: bool) -> None:
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    table = f"{database}.t"
    clause = "PARTITIONED BY (at)" if partitioned else ""
    spark.sql(f"CREATE TABLE {table} (id INT, at {kind}) USING delta {clause}")
    for number, moment in enumerate(MOMENTS):
        spark.sql(f"INSERT INTO {table} SELECT {number}, {kind}'{moment}'")

    def ids(condition: str) -> list[int]:
        return sorted(row.id for row in spark.sql(f"SELECT id FROM {table} WHERE {condition}").collect())

    for number, moment in enumerate(MOMENTS):
        assert ids(f"at = {kind}'{moment}'") == [number]
        spark.sql(f"UPDATE {table} SET id = id + 10 WHERE at = {kind}'{moment}'")
    assert ids(f"at >= {kind}'9999-12-31 23:59:59.9995'") == [10, 11]
    assert ids(f"at < {kind}'1000-01-01 00:00:00'") == [12, 13]
    assert ids(f"at > {kind}'0001-01-01 00:00:00'") == [10, 11, 13]
    shown = spark.sql(f"SELECT CAST(at AS STRING) AS at FROM {table}").collect()
    assert sorted(row.at for row in shown) == sorted(MOMENTS)
