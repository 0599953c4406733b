from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import FAST_RETRIES, Project
from tests.spec.support import files, write_json


@pytest.fixture
def project(spark: SparkSession, database: str, tmp_path: Path) -> Project:
    for key, value in FAST_RETRIES.items():
        spark.conf.set(key, value)
    return Project(spark, database, tmp_path / "storage")


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A folder with one JSON file of two rows."""
    write_json(tmp_path / "landing" / "0.json", [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])
    return tmp_path / "landing"


@pytest.fixture
def events(spark: SparkSession, landing: Path) -> Callable[[], None]:
    """A definition: the streaming table `events`, fed from the files in `landing`."""

    def define() -> None:
        @dp.table
        def events() -> DataFrame:
            return files(spark, landing, "id BIGINT, name STRING")

    return define
