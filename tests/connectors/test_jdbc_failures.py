"""A database that stops, stays away or comes back while it is read or written, and what errors do not say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.testing.postgres import PASSWORD, PostgresServer
from tests.connectors.jdbc import Option, refusal, values

pytestmark = pytest.mark.riacho_only  # what Spark says of it is its driver's own


def options_of(server: PostgresServer, **options: Option) -> dict[str, Option]:
    url = f"jdbc:postgresql://127.0.0.1:{server.port}/postgres?user=postgres&password={PASSWORD}&connectTimeout=5"
    return {"url": url, **options}


def test_a_server_that_stops_and_comes_back(spark: SparkSession, own_postgres: PostgresServer) -> None:
    own_postgres.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g")
    table = options_of(own_postgres, dbtable="t")
    frame = spark.read.format("jdbc").options(**table).load()
    assert frame.count() == 1000
    slow = options_of(own_postgres, query="SELECT pg_sleep(60)::text AS a")
    told: list[str] = []
    reading = threading.Thread(target=lambda: told.append(refusal(partial(_collect, spark, slow))))
    reading.start()
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    _wait(lambda: own_postgres.execute(running) == [(1,)])
    own_postgres.stop()
    reading.join(30)
    assert not reading.is_alive()
    assert "terminating connection due to administrator command" in told[0] or "server closed" in told[0]
    away = refusal(frame.collect)
    assert "[FAILED_JDBC.CONNECTION]" in away
    assert "Connection refused" in away
    assert not any(PASSWORD in text for text in (away, *told))
    own_postgres.start()
    assert frame.count() == 1000


def test_a_write_that_is_cut_off_leaves_nothing(spark: SparkSession, own_postgres: PostgresServer) -> None:
    """The rows wait for a lock when the server goes: the transaction is never committed."""
    own_postgres.execute("CREATE TABLE t (id bigint)")
    psycopg = pytest.importorskip("psycopg")
    told: list[str] = []
    write = partial(_write, spark, options_of(own_postgres, dbtable="t", numPartitions=1))
    other = psycopg.connect(own_postgres.url)
    other.execute("LOCK TABLE t IN EXCLUSIVE MODE")
    writing = threading.Thread(target=lambda: told.append(refusal(write)))
    writing.start()
    _wait(lambda: own_postgres.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
    own_postgres.kill()
    other.close()
    writing.join(30)
    assert not writing.is_alive()
    assert told, "the write must fail"
    assert PASSWORD not in told[0]
    own_postgres.start()
    assert own_postgres.execute("SELECT count(*) FROM t") == [(0,)]
    write()
    assert own_postgres.execute("SELECT count(*) FROM t") == [(1000,)]


def _wait(condition: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.02)


def _collect(spark: SparkSession, options: dict[str, Option]) -> None:
    values(spark.read.format("jdbc").options(**options).load())


def _write(spark: SparkSession, options: dict[str, Option]) -> None:
    spark.range(1000).write.format("jdbc").options(**options).mode("append").save()


def test_text_is_not_padded(spark: SparkSession, tmp_path: Path) -> None:
    table: dict[str, Option] = {
        "url": f"jdbc:sqlite:{tmp_path / 'a.db'}",
        "query": "SELECT 'ab' AS c",
        "customSchema": "c CHAR(7)",
    }
    assert "riacho does not pad text that it reads" in refusal(partial(_collect, spark, table))
