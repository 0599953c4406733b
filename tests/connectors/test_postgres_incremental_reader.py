"""The incremental reader by itself: every version of a row once, with ties, late commits, pages and cut-off batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pyspark.sql.types import StructType

from riacho.connectors.postgres_incremental.source import PostgresIncrementalSource
from riacho.errors import AnalysisError, IllegalArgumentError, IllegalStateError, SparkError
from tests.connectors.postgres import Database
from tests.connectors.tail import Tail

Follow = Callable[..., Tail]


@pytest.fixture
def follow(postgres: Database) -> Iterator[Follow]:
    tails: list[Tail] = []

    def start(cursor: str = "at", at: str | None = None, **options: str) -> Tail:
        given = {"url": postgres.url, "table": "t", "cursorColumn": cursor, **options}
        tails.append(Tail(PostgresIncrementalSource, at, None, **given))
        return tails[-1]

    yield start
    for tail in tails:
        tail.reader.stop()


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def test_rows_with_the_same_cursor_in_pages(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text); CREATE INDEX ON t (at)")
    postgres.execute("INSERT INTO t SELECT g, '2024-01-01', 'v' || g FROM generate_series(1, 25) g")
    postgres.execute("INSERT INTO t VALUES (26, NULL, 'never'), (27, '2023-12-31', NULL)")
    tail = follow(maxRowsPerTrigger="10")
    assert ids(tail.take()) == [27, *range(1, 26)]
    assert [len(batch) for batch in tail.batches] == [10, 10, 6]
    assert tail.take() == []
    for (start, end), batch in zip(tail.ranges, tail.batches, strict=True):
        assert tail.read(start, end) == batch
    # The same cursor again, before the newest one: it is within the lag.
    postgres.execute("INSERT INTO t VALUES (28, '2024-01-01', 'tie'), (29, '2023-12-31 23:55', 'behind')")
    tail = follow(at=tail.at)
    assert ids(tail.take()) == [29, 28]
    postgres.execute("UPDATE t SET at = '2024-01-02', v = 'new' WHERE id = 1")
    assert [(row["id"], row["v"]) for row in tail.take()] == [(1, "new")]
    postgres.execute("DELETE FROM t WHERE id = 2")
    assert tail.take() == []


def test_late_commits(postgres: Database, follow: Follow) -> None:
    """A transaction that began early and commits late: its rows are behind others that have been read."""
    postgres.execute("CREATE TABLE t (id int, at timestamptz DEFAULT now()); CREATE INDEX ON t (at)")
    tail = follow(lag="0s")
    assert tail.take() == []
    with psycopg.connect(postgres.url) as early, psycopg.connect(postgres.url) as silent:
        early.execute("INSERT INTO t VALUES (1)")
        silent.execute("SELECT now()")
        postgres.execute("INSERT INTO t VALUES (2)")
        assert tail.take() == []  # 1 may still come before it
        with early.transaction(), early.transaction():
            early.execute("INSERT INTO t VALUES (3)")
        early.commit()
        assert sorted(ids(tail.take())) == [1, 2, 3]
        # It has no number yet, so nobody waits for it; where its rows will be is looked at all the same.
        postgres.execute("INSERT INTO t VALUES (4)")
        assert ids(tail.take()) == [4]
        postgres.execute("INSERT INTO t VALUES (5)")
        assert ids(tail.take()) == [5]
        silent.execute("INSERT INTO t VALUES (6)")
        silent.commit()
    assert ids(tail.take()) == [6]
    with psycopg.connect(postgres.url) as undone:
        undone.execute("INSERT INTO t VALUES (7)")
        undone.rollback()
    assert tail.take() == []


def test_numbers_from_a_sequence(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int)")
    tail = follow("id", lag="10", maxRowsPerTrigger="50")
    with psycopg.connect(postgres.url) as late:
        late.execute("SELECT nextval('t_id_seq')")
        postgres.execute("INSERT INTO t (v) SELECT 1 FROM generate_series(1, 100)")
        # Of transactions that are younger than `late`, rows within the lag wait for it.
        assert ids(tail.take()) == list(range(2, 91))
        late.execute("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 3)")
        late.execute("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (93000, 3)")
        late.execute("DELETE FROM t WHERE id > 93000; INSERT INTO t (v) VALUES (3)")
        late.execute("DELETE FROM t WHERE id = 93000")
        late.commit()
    assert ids(tail.take()) == list(range(91, 103))
    postgres.execute("UPDATE t SET v = 4 WHERE id IN (1, 2, 100)")
    assert ids(tail.take()) == [100]  # behind the lag nobody looks
    assert ids(follow("id", startAt="100").take()) == [100, 101, 102]


@pytest.mark.parametrize(
    ("kind", "first", "options"),
    [
        ("numeric(5,2)", "1.5", {}),
        ("smallint", "1", {"lag": "100000"}),
        ("int", "-2147483648", {}),
        ("float8", "'Infinity'", {}),
        ("float4", "'NaN'", {}),
    ],
)
def test_a_lag_beyond_what_the_type_holds(
    postgres: Database, follow: Follow, kind: str, first: str, options: dict[str, str]
) -> None:
    postgres.execute(f"CREATE TABLE t (id int PRIMARY KEY, at {kind}); INSERT INTO t VALUES (1, {first})")
    tail = follow(**options)
    assert ids(tail.take()) == [1]
    postgres.execute("INSERT INTO t VALUES (2, 3)")
    assert ids(tail.take()) == [2]


def test_pages_while_others_write(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamp, v int); CREATE INDEX ON t (at)")
    postgres.execute("INSERT INTO t SELECT g, '2024-01-01', 0 FROM generate_series(1, 100) g")
    tail = follow(maxRowsPerTrigger="10", lag="100000h")
    versions: list[tuple[int, int]] = []
    number = 0
    while tail.step():
        versions += [(row["id"], row["v"]) for row in tail.batches[-1]]
        number += 1
        if number < 20:
            postgres.execute(f"UPDATE t SET v = {number}, at = at + INTERVAL '1 s' WHERE id % 20 = {number}")
            postgres.execute(f"INSERT INTO t VALUES ({number + 1000}, '2024-01-01', 0)")
    assert len(versions) == len(set(versions))
    newest = dict(sorted(versions, key=lambda version: version[1]))
    assert newest == dict(postgres.execute("SELECT id, v FROM t"))


def test_a_batch_that_was_cut_off(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int, at date, v int)")
    postgres.execute("INSERT INTO t SELECT g, '2024-01-01', 0 FROM generate_series(1, 10) g")
    tail = follow(maxRowsPerTrigger="4")
    tail.step()
    at = tail.at
    tail.step(commit=False)
    again = follow(at=at)
    assert again.read(*tail.ranges[-1]) == tail.batches[-1]
    assert sorted(ids(tail.batches[0] + tail.batches[1] + tail.take())) == list(range(1, 11))


def test_places_that_changed(postgres: Database, follow: Follow) -> None:
    """Rows without a key are told apart by where they lie: who has read some of them must not be misled."""
    postgres.execute(
        "CREATE TABLE t (id int, at date); INSERT INTO t SELECT g, '2024-01-01' FROM generate_series(1, 9) g"
    )
    tail = follow(maxRowsPerTrigger="3")
    tail.step()
    postgres.execute("DELETE FROM t WHERE id < 3")
    postgres.execute("VACUUM FULL t")
    with pytest.raises(IllegalStateError, match="was written anew"):
        tail.take()
    with pytest.raises(IllegalStateError, match="was written anew"):
        tail.read(*tail.ranges[0])
    assert ids(follow().take()) == [3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(AnalysisError, match=r"not in public\.t: ID"):
        Tail(PostgresIncrementalSource, None, StructType().add("ID", "integer"), url=postgres.url, table="t",
             cursorColumn="at").take()  # fmt: skip


def test_what_is_refused(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamp, name text); "
                     "CREATE TABLE p (at timestamp) PARTITION BY RANGE (at)")  # fmt: skip
    for options, error, text in (
        ({"cursor": "nothing"}, AnalysisError, "no column nothing .*it has id, at, name"),
        ({"cursor": "name"}, IllegalArgumentError, "must be a column of numbers, dates or timestamps: it is text"),
        ({"cursor": "id", "lag": "1m"}, IllegalArgumentError, "must be a number"),
        ({"lag": "soon"}, IllegalArgumentError, "Failed to parse time string: soon"),
        ({"table": "nothing"}, AnalysisError, "TABLE_OR_VIEW_NOT_FOUND"),
        ({"table": "p"}, AnalysisError, "no primary key"),
        ({"cursor": ""}, IllegalArgumentError, "needs the option cursorColumn"),
    ):
        with pytest.raises(error, match=text):
            follow(**options)
    with pytest.raises(SparkError, match="password authentication failed") as raised:
        follow(password="wr0ng-secret")
    assert "wr0ng-secret" not in str(raised.value)
