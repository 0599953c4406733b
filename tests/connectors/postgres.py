"""A real PostgreSQL for the tests here: one for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riacho.testing.postgres import PASSWORD, PostgresServer
from tests.connectors.services import laid


class Database:
    """A database of a test's own, and what tests do with it."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.host = "127.0.0.1"
        self.port = server.port
        self.user = "postgres"
        self.password = PASSWORD

    @property
    def url(self) -> str:
        """With user and password."""
        return self.server.url_of(self.name)

    @property
    def jdbc_url(self) -> str:
        """Without user and password."""
        return f"jdbc:postgresql://{self.host}:{self.port}/{self.name}"

    def execute(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement, or several without parameters; the rows of the last."""
        return self.server.execute(sql, *parameters, database=self.name)


@pytest.fixture(scope="session")
def postgres_home() -> Path:
    """Where `make services` has noted PostgreSQL's programs."""
    return laid("postgres", "PostgreSQL")


@pytest.fixture(scope="session")
def postgres_server(postgres_home: Path) -> Iterator[PostgresServer]:
    """The server that all tests share; each has a database of its own."""
    with PostgresServer(postgres_home) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    """A new database."""
    with postgres_server.database() as name:
        yield Database(postgres_server, name)


@pytest.fixture
def own_postgres(postgres_home: Path) -> Iterator[PostgresServer]:
    """A server of the test's own, which it may stop."""
    with PostgresServer(postgres_home) as server:
        yield server
