"""Older versions of a Delta table whose log has checkpoints of later ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

VERSIONS = 14


@pytest.mark.parametrize("checkpoints", [[10], [5, 10], [12]], ids=["one", "two", "late"])
def test_each_version_can_be_read(spark: SparkSession, tmp_path: Path, checkpoints: list[int]) -> None:
    table = str(tmp_path / "t")
    spark.range(1).write.format("delta").save(table)
    for n in range(1, VERSIONS):
        spark.range(n, n + 1).write.format("delta").mode("append").save(table)
    for version in checkpoints:
        DeltaTable(table, version=version).create_checkpoint()
    for version in range(VERSIONS):
        read = spark.read.format("delta").option("versionAsOf", version)
        assert read.load(table).count() == version + 1
    assert spark.sql(f"SELECT count(*) FROM delta.`{table}` VERSION AS OF 8").head() == (9,)
    assert spark.read.format("delta").load(table).count() == VERSIONS
