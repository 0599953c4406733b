"""The stock pipelines command, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.cli.init import init
from riacho.testing.servers import Server
from tests.spec.support import write_json

LIMIT_S = 100
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: ")


@pytest.fixture
def folder(tmp_path: Path, database: str) -> Path:
    """A project: a spec, a Python file and a SQL file."""
    landing = tmp_path / "landing"
    write_json(landing / "0.json", [{"id": 1}, {"id": 2}])
    definitions = tmp_path / "project" / "transformations"
    definitions.mkdir(parents=True)
    (tmp_path / "project" / "spark-pipeline.yml").write_text(
        f"name: shop\nstorage: {(tmp_path / 'storage').as_uri()}\ndatabase: {database}\n"
        "configuration:\n  spark.sql.shuffle.partitions: '2'\n"
        "libraries:\n  - glob:\n      include: transformations/**\n"
    )
    (definitions / "events.py").write_text(
        "from pyspark import pipelines as dp\n\n\n@dp.table\ndef events():\n"
        f"    return spark.readStream.schema('id BIGINT').json({str(landing)!r})\n"
    )
    (definitions / "total.sql").write_text("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events;\n")
    return tmp_path / "project"


def command(server: Server, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPARK_REMOTE": server.url}
    return subprocess.run(
        [sys.executable, "-m", "pyspark.pipelines.cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines with a time in front, without it."""
    return [STAMP.sub("", line) for line in done.stdout.splitlines() if STAMP.match(line)]


def test_run(server: Server, spark: SparkSession, database: str, folder: Path) -> None:
    done = command(server, folder, "run")

    assert done.returncode == 0, done.stderr
    lines = said(done)
    assert "Starting run..." in lines
    told = lines[lines.index("Starting run...") + 1 :]
    assert sorted(told[:2]) == [
        f"Flow spark_catalog.{database}.events is QUEUED.",
        f"Flow spark_catalog.{database}.total is QUEUED.",
    ]
    assert told[-1] == "Run is COMPLETED."
    assert len(told) == 10
    assert spark.table(f"{database}.total").collect()[0].n == 2


def test_full_refresh(server: Server, folder: Path, tmp_path: Path, database: str) -> None:
    spec = str(folder / "spark-pipeline.yml")
    assert command(server, folder, "run", "--spec", spec).returncode == 0
    done = command(server, folder, "run", "--full-refresh-all")

    assert done.returncode == 0, done.stderr
    flow = tmp_path / "storage" / "_checkpoints" / "spark_catalog" / database / "events" / "events"
    assert sorted(entry.name for entry in flow.iterdir()) == ["0", "1"]


def test_dry_run(server: Server, spark: SparkSession, database: str, folder: Path) -> None:
    done = command(server, folder, "dry-run")

    assert done.returncode == 0, done.stderr
    assert said(done)[-2:] == ["Starting run...", "Run is COMPLETED."]
    assert spark.catalog.listTables(database) == []


def test_a_wrong_pipeline(server: Server, folder: Path, database: str) -> None:
    (folder / "transformations" / "wrong.sql").write_text("CREATE MATERIALIZED VIEW w AS SELECT nocolumn FROM events")
    done = command(server, folder, "run")

    assert done.returncode != 0
    assert f"Failed to resolve flow: 'spark_catalog.{database}.w'." in done.stdout
    assert "Failed to resolve flows in the pipeline." in done.stderr


def test_a_new_project_of_riachos(server: Server, spark: SparkSession, database: str, tmp_path: Path) -> None:
    init(tmp_path / database)
    done = command(server, tmp_path / database, "run")

    assert done.returncode == 0, done.stderr
    daily = spark.table(f"{database}.daily").sort("day").selectExpr("string(day)", "orders", "string(total)")
    assert [tuple(row) for row in daily.collect()] == [("2026-01-05", 2, "20.50"), ("2026-01-06", 1, "3.20")]
    aside = spark.table(f"{database}.orders_quarantine").select("id", "_quarantine.rules").collect()
    assert [tuple(row) for row in aside] == [(4, ["has a price"])]


def test_a_new_project_of_sparks(server: Server, tmp_path: Path) -> None:
    assert command(server, tmp_path, "init", "--name", "new").returncode == 0
    spec = tmp_path / "new" / "spark-pipeline.yml"
    done = command(server, tmp_path / "new", "dry-run", "--spec", str(spec))
    assert done.returncode == 0, done.stderr
