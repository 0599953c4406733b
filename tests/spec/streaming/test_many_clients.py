"""Many clients at once: each has its own session, views and queries, and all see the same tables."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.conftest import NewSession
from tests.spec.support import finish, write_json

CLIENTS = 12


def test_each_has_its_own_views_and_queries(new_session: NewSession, tmp_path: Path) -> None:
    write_json(tmp_path / "landing" / "0.json", [{"id": number} for number in range(100)])
    sessions = [new_session() for _ in range(CLIENTS)]

    def work(client: int) -> tuple[int, int]:
        spark = sessions[client]
        spark.range(client).createOrReplaceTempView("mine")
        stream = spark.readStream.schema("id BIGINT").json(str(tmp_path / "landing")).where(F.col("id") < client)
        finish(stream.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())
        return spark.table("mine").count(), spark.table("seen").count()

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert list(pool.map(work, range(CLIENTS))) == [(client, client) for client in range(CLIENTS)]


def test_a_table_that_one_makes_is_there_for_all(spark: SparkSession, new_session: NewSession, database: str) -> None:
    other = new_session()
    spark.range(3).write.saveAsTable(f"{database}.shared")
    assert other.table(f"{database}.shared").count() == 3
    other.range(3, 5).write.insertInto(f"{database}.shared")
    assert sorted(row.id for row in spark.table(f"{database}.shared").collect()) == [0, 1, 2, 3, 4]
    other.sql(f"DROP TABLE {database}.shared")
    assert not spark.catalog.tableExists(f"{database}.shared")
