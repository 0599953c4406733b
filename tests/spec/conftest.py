"""What every test of the specification is given: a session, a database and a folder of its own.

The tests use PySpark's public interface only, so that the same file runs on riacho and on Apache Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server

LIMIT_S = 120
NewSession = Callable[[], SparkSession]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test of the specification may hang: a wait that has no limit of its own ends here."""
    for item in items:
        if "tests/spec/" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture
def new_session(server: Server) -> Iterator[NewSession]:
    """A function that opens a session on the server; all are closed, and their queries stopped, after the test."""
    opened: list[SparkSession] = []

    def open_session() -> SparkSession:
        session = SparkSession.builder.remote(server.url).create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        opened.append(session)
        return session

    yield open_session
    for session in opened:
        for query in session.streams.active:
            query.stop()
        session.stop()


@pytest.fixture
def spark(new_session: NewSession) -> SparkSession:
    """A session of the test's own."""
    return new_session()


@pytest.fixture
def database(spark: SparkSession) -> Iterator[str]:
    """A database of the test's own, by name; dropped with its tables afterwards."""
    name = f"t_{uuid4().hex[:12]}"
    spark.sql(f"CREATE DATABASE {name}")
    yield name
    for query in spark.streams.active:
        query.stop()
    spark.sql(f"DROP DATABASE {name} CASCADE")
