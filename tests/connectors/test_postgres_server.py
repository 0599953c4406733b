"""The PostgreSQL that tests run against: logical replication, databases of their own, crashes and restarts."""

from __future__ import annotations

import psycopg
import pytest

from riacho.testing.postgres import PostgresServer
from tests.connectors.postgres import Database


def test_a_database_is_gone_with_its_slots(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as name:
        slot = f"slot_{name}"
        postgres_server.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot, database=name)
    assert postgres_server.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", slot) == []
    assert postgres_server.execute("SELECT 1 FROM pg_database WHERE datname = %s", name) == []


def test_each_test_has_a_database(postgres: Database) -> None:
    assert postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT a FROM t") == [(1,), (2,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(postgres.password, "wrong"))


def test_a_server_keeps_its_data(own_postgres: PostgresServer) -> None:
    own_postgres.execute("CREATE TABLE t (a int)")
    with psycopg.connect(own_postgres.url) as left_open:
        left_open.execute("INSERT INTO t VALUES (1)")
        left_open.commit()
        own_postgres.restart()
    with psycopg.connect(own_postgres.url) as left_open:
        left_open.execute("INSERT INTO t VALUES (2)")
        left_open.commit()
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            own_postgres.execute("SELECT 1")
    own_postgres.start()
    assert own_postgres.execute("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
