"""What tests do with `format("jdbc")` and a database of their own."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.connectors.postgres import Database

Option = bool | float | int | str | None


def url_of(database: Database, *parameters: str) -> str:
    """A JDBC URL with user and password inside, as people have it."""
    login = (f"user={database.user}", f"password={database.password}", *parameters)
    return f"{database.jdbc_url}?{'&'.join(login)}"


def reader(spark: SparkSession, database: Database, **options: Option) -> DataFrame:
    """A read with these options, whose columns are known."""
    frame = spark.read.format("jdbc").options(**{"url": url_of(database), **options}).load()
    _ = frame.schema
    return frame


def asked(spark: SparkSession, database: Database, query: str, **options: Option) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return values(reader(spark, database, query=query, **options))


def values(frame: DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame.collect()]


def write(frame: DataFrame, database: Database, table: str, mode: str = "append", **options: Option) -> None:
    given: dict[str, Option] = {"url": url_of(database), "dbtable": table, **options}
    frame.write.format("jdbc").options(**given).mode(mode).save()


def refusal(go: Callable[[], object]) -> str:
    """The message of the error that it must raise."""
    try:
        go()
    except PySparkException as error:
        return str(error)
    raise AssertionError("there was no error")


def number(text: str, scale: int) -> Decimal:
    return Decimal(text).quantize(Decimal(1).scaleb(-scale))
