"""The console sink prints each batch on the server's standard output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from tests.spec.support import files, finish, write_json

Printed = Callable[..., str]


@pytest.fixture
def printed(spark: SparkSession, server: Server, tmp_path: Path) -> Printed:
    """A function that runs rows through a console sink and gives what the server printed."""
    if not server.log.is_file():
        pytest.skip("what a server prints can be read only if the tests start it: unset SPARK_REMOTE")

    def run(rows: list[dict[str, object]], schema: str, **options: Any) -> str:
        write_json(tmp_path / "landing" / "1.json", rows)
        before = server.log.stat().st_size
        writer = files(spark, tmp_path / "landing", schema).writeStream.format("console").options(**options)
        finish(writer.trigger(availableNow=True).start())
        return server.log.read_bytes()[before:].decode()

    return run


def test_a_batch_is_a_heading_and_a_table(printed: Printed) -> None:
    text = printed([{"id": 1, "name": "Ana"}, {"id": 20}], "id INT, name STRING")
    assert (
        "-------------------------------------------\n"
        "Batch: 0\n"
        "-------------------------------------------\n"
        "+---+----+\n"
        "| id|name|\n"
        "+---+----+\n"
        "|  1| Ana|\n"
        "| 20|NULL|\n"
        "+---+----+\n"
    ) in text


def test_twenty_rows_are_shown_unless_told_else(printed: Printed) -> None:
    rows = [{"id": number} for number in range(100, 130)]
    assert "only showing top 20 rows" in printed(rows, "id INT")


def test_the_number_of_rows_is_an_option(printed: Printed) -> None:
    rows = [{"id": number} for number in range(100, 130)]
    assert "only showing top 3 rows" in printed(rows, "id INT", numRows=3)


def test_long_values_are_cut_at_twenty_characters(printed: Printed) -> None:
    assert "|aaaaaaaaaaaaaaaaa...|\n" in printed([{"s": "a" * 30}], "s STRING")


def test_long_values_are_whole_if_asked_for(printed: Printed) -> None:
    assert f"|{'a' * 30}|\n" in printed([{"s": "a" * 30}], "s STRING", truncate=False)
