"""What `riacho tables --remote` shows: the tables of a server, riacho's or Spark's, as it describes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from riacho.cli.tables import TableFacts
from riacho.identifiers import quote_if_needed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.catalog import Table


def look_at(spark: SparkSession, database: str | None = None) -> list[TableFacts]:
    """The tables and views of a server, by name. Rows are counted, which takes as long as it takes the server.

    Raises PySpark's exceptions: SCHEMA_NOT_FOUND for the database.
    """
    wanted = sorted(each.name for each in spark.catalog.listDatabases()) if database is None else [database]
    return [facts for each in wanted for facts in _look(spark, each)]


def _look(spark: SparkSession, database: str) -> Iterator[TableFacts]:
    for table in sorted(spark.catalog.listTables(database), key=lambda table: table.name):
        if table.isTemporary:
            continue
        label = f"{database.lower()}.{table.name}"
        if table.tableType == "VIEW":
            yield TableFacts(label, "view", comment=table.description)
        else:
            yield _facts(spark, table, label)


def _facts(spark: SparkSession, table: Table, label: str) -> TableFacts:
    from pyspark.errors import PySparkException

    name = ".".join(map(quote_if_needed, label.split(".", 1)))
    try:
        (detail,) = spark.sql(f"DESCRIBE DETAIL {name}").collect()
    except PySparkException:
        # Only a Delta table has details, and only a server that knows Delta tells them.
        return TableFacts(label, "table", comment=table.description)
    if detail.format != "delta":
        return TableFacts(label, detail.format, comment=table.description, location=detail.location)
    (latest,) = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").collect()
    return TableFacts(
        label,
        "delta",
        spark.table(name).count(),
        detail.sizeInBytes,
        latest.version,
        # PySpark gives local times without a zone.
        detail.lastModified.astimezone(),
        table.description,
        detail.location,
    )
