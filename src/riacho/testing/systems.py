"""A reference system under test: its folder copied, its settings overridden, run by Spark's own pipelines command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from riacho.cli.answers import parse
from riacho.testing.servers import Server

UPDATE_LIMIT_S = 280

Row = tuple[Any, ...]


class System:
    """A copy of the system `original` in `folder`, to be run on `server` with `configuration` over its own."""

    def __init__(self, original: Path, folder: Path, server: Server, configuration: Mapping[str, str]) -> None:
        self.server = server
        self.folder = folder / "project"
        shutil.copytree(original, self.folder)
        self._spec = self.folder / "spark-pipeline.yml"
        self._change({"storage": (folder / "storage").as_uri()})
        self.configure(configuration)

    def configure(self, configuration: Mapping[str, str]) -> None:
        """Settings for the updates to come."""
        self._change({"configuration": {**yaml.safe_load(self._spec.read_text())["configuration"], **configuration}})

    def _change(self, fields: Mapping[str, Any]) -> None:
        self._spec.write_text(yaml.safe_dump({**yaml.safe_load(self._spec.read_text()), **fields}))

    def set_up(self, spark: SparkSession) -> None:
        """Make the system's databases, as its user does before the first run."""
        for statement in parse((self.folder / "setup.sql").read_text()):
            spark.sql(statement.sql).collect()

    def update(self) -> str:
        """Run the pipeline once with the stock command; what it printed. Fails with that if the run failed."""
        command = [sys.executable, "-m", "pyspark.pipelines.cli", "run", "--spec", str(self._spec)]
        done = run_python(command, {"SPARK_REMOTE": self.server.url})
        assert "Run is COMPLETED." in done
        return done

    def update_by_riacho(self, *options: str) -> str:
        """The same with riacho's command, which sets the databases up first."""
        command = [sys.executable, "-m", "riacho", "run", str(self.folder), "--remote", self.server.url, *options]
        return run_python(command, {})


def run_python(command: list[str], environment: Mapping[str, str]) -> str:
    """What `command` printed. Fails with that if it ended with an error."""
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=UPDATE_LIMIT_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def connected(server: Server) -> Iterator[SparkSession]:
    """A session of its own on `server`, in UTC."""
    spark = SparkSession.builder.remote(server.url).create()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        yield spark
    finally:
        spark.stop()


def drop_databases(spark: SparkSession, *names: str) -> None:
    for name in names:
        spark.sql(f"DROP DATABASE IF EXISTS {name} CASCADE").collect()


def columns(spark: SparkSession, table: str) -> list[tuple[str, str]]:
    """Name and type of each column of a table."""
    return [(field.name, field.dataType.simpleString()) for field in spark.table(table).schema.fields]


def rows(spark: SparkSession, table: str) -> list[Row]:
    """All rows of a table in one order, the same for equal tables."""
    return ordered([tuple(row.values()) for row in spark.table(table).toArrow().to_pylist()])


def delta_table(server: Server, table: str) -> DeltaTable:
    """The Delta table behind a name, in the warehouse of a server that the tests started."""
    database, name = table.split(".")
    return DeltaTable(server.log.parent / "warehouse" / f"{database}.db" / name)


def described(table: DeltaTable) -> dict[str, Any]:
    """What a table's own Delta log says of it: comment, columns with their comments, whether the change feed is on."""
    metadata = table.metadata()
    return {
        "comment": metadata.description,
        "columns": [
            (field.name, str(field.type), field.nullable, field.metadata.get("comment"))
            for field in table.schema().fields
        ],
        "change_feed": metadata.configuration.get("delta.enableChangeDataFeed"),
    }


def quarantined(spark: SparkSession, table: str) -> list[Row]:
    """The rows of a quarantine with the rules that they break, without what each run has anew: ids, batches, times."""
    rules = F.col("_quarantine.rules").alias("rules")
    found = spark.table(table)
    kept = found.select(*[F.col(name) for name in found.columns if name != "_quarantine"], rules)
    return sorted((tuple(row) for row in kept.collect()), key=repr)


def ordered(some: list[Row]) -> list[Row]:
    return sorted(some, key=lambda row: [(value is not None, str(value)) for value in row])
