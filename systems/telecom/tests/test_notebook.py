"""The notebook-style script gives the same bronze tables as the pipeline."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from riacho.testing.systems import columns, drop_databases, rows, run_python
from systems.telecom.tests.conftest import Landing

DATABASE = "telecom_notebook"
TABLES = ("celular_conectado", "celular_desconectado", "computador_conectado", "computador_desconectado")

# Stock Spark has no Auto Loader to run the notebook with.
pytestmark = pytest.mark.riacho_only


@pytest.fixture
def notebook(tables: SparkSession) -> Iterator[SparkSession]:
    """A session where the pipeline has run, and the notebook's own database is not there before and after."""
    drop_databases(tables, DATABASE)
    yield tables
    drop_databases(tables, DATABASE)


def test_the_notebook_makes_the_pipelines_bronze(
    notebook: SparkSession, server: Server, telecom_landing: Landing, tmp_path: Path
) -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "notebooks" / "bronze_autoloader.py")]
    environment = {
        "SPARK_REMOTE": server.url,
        "TELECOM_LANDING": str(telecom_landing.folder),
        "TELECOM_NOTEBOOK_STATE": str(tmp_path),
        "TELECOM_NOTEBOOK_DATABASE": DATABASE,
    }
    first = run_python(command, environment)
    again = run_python(command, environment)

    for table in TABLES:
        assert columns(notebook, f"{DATABASE}.{table}") == columns(notebook, f"bronze.{table}")
        assert rows(notebook, f"{DATABASE}.{table}") == rows(notebook, f"bronze.{table}")
    assert f"{DATABASE}.celular_conectado: 640 rows" in first
    assert again == first
