"""The change stream's reader by itself: keys, large values, schema changes, partitions, slots; what is refused."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deltalake import DeltaTable
from pyspark.sql.types import StructType

from riacho.connectors.postgres_cdc.source import PostgresCdcSource
from riacho.errors import AnalysisError, IllegalArgumentError, IllegalStateError, SparkError, SparkGeneralError
from riacho.testing.postgres import PostgresServer
from tests.connectors.postgres import Database
from tests.connectors.tail import Tail

Follow = Callable[..., Tail]


@pytest.fixture
def follow(postgres: Database) -> Iterator[Follow]:
    tails: list[Tail] = []

    def start(tables: str = "t", at: str | None = None, schema: StructType | None = None, **options: str) -> Tail:
        given = {"url": postgres.url, "tables": tables, "slot": f"s_{postgres.name}", **options}
        tails.append(Tail(PostgresCdcSource, at, schema, **{k: v for k, v in given.items() if v}))
        return tails[-1]

    yield start
    for tail in tails:
        tail.reader.stop()


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in ("_operation", *names)) for row in rows]


def schema(columns: str) -> StructType:
    """Text such as `a integer, b string`."""
    found = StructType()
    for column in columns.split(", "):
        name, kind = column.split(" ")
        found.add(name, kind)
    return found


def in_order(rows: list[dict[str, Any]]) -> bool:
    places = [(row["_commit_lsn"], row["_position"]) for row in rows]
    return places == sorted(set(places))


def test_replica_identities(postgres: Database, follow: Follow) -> None:
    postgres.execute("""CREATE TABLE t (id int PRIMARY KEY, a text, b text);
        CREATE TABLE by_index (id int NOT NULL, a text, b text); CREATE UNIQUE INDEX i ON by_index (id);
        ALTER TABLE by_index REPLICA IDENTITY USING INDEX i;
        CREATE TABLE whole (id int, a text, b text); ALTER TABLE whole REPLICA IDENTITY FULL;
        CREATE TABLE keyed (id int PRIMARY KEY, a text, b text); ALTER TABLE keyed REPLICA IDENTITY FULL""")
    tables = "t,by_index,whole,keyed"
    tail = follow(tables, before="true")
    tail.take()
    for table in tables.split(","):
        postgres.execute(f"""INSERT INTO {table} VALUES (1, 'x', 'y'); UPDATE {table} SET a = 'z' WHERE id = 1;
            UPDATE {table} SET id = 2 WHERE id = 1; DELETE FROM {table} WHERE id = 2""")
    rows = tail.take()
    assert in_order(rows)
    told = {
        table: [(*values[:1], *values[1:]) for values in shown(
            [row for row in rows if row["_table"] == f"public.{table}"], "id", "a", "b", "_before"
        )]
        for table in tables.split(",")
    }  # fmt: skip
    old = {"id": 1, "a": None, "b": None}
    assert (
        told["t"]
        == told["by_index"]
        == [
            ("insert", 1, "x", "y", None),
            ("update", 1, "z", "y", None),
            ("delete", 1, None, None, old),
            ("update", 2, "z", "y", old),
            ("delete", 2, None, None, {**old, "id": 2}),
        ]
    )
    before = [{"id": 1, "a": "x", "b": "y"}, {"id": 1, "a": "z", "b": "y"}, {"id": 2, "a": "z", "b": "y"}]
    assert told["keyed"] == [
        ("insert", 1, "x", "y", None),
        ("update", 1, "z", "y", before[0]),
        ("delete", 1, "z", "y", before[1]),
        ("update", 2, "z", "y", before[1]),
        ("delete", 2, "z", "y", before[2]),
    ]
    # Without a primary key there is no key that changes.
    assert told["whole"] == [
        ("insert", 1, "x", "y", None),
        ("update", 1, "z", "y", before[0]),
        ("update", 2, "z", "y", before[1]),
        ("delete", 2, "z", "y", before[2]),
    ]


def test_a_table_without_identity_is_not_published(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    with pytest.raises(AnalysisError, match=r"no primary key.*REPLICA IDENTITY FULL.*publish = 'insert, truncate'"):
        follow().take()
    postgres.execute("CREATE TABLE later (id int PRIMARY KEY DEFERRABLE); CREATE ROLE weak LOGIN PASSWORD 'weak'")
    with pytest.raises(AnalysisError, match="not deferrable"):
        follow("later").take()
    weak = {"user": "weak", "password": "weak", "slot": "weak"}
    postgres.execute("CREATE TABLE k (id int PRIMARY KEY); GRANT SELECT ON k TO weak; CREATE PUBLICATION k FOR TABLE k")
    for more, text in (({}, "needs CREATE on the database"), ({"publication": "k"}, "ALTER ROLE … REPLICATION")):
        with pytest.raises(SparkGeneralError, match=text):
            follow("k", **weak, **more).take()
    postgres.execute("DROP OWNED BY weak; DROP ROLE weak")
    postgres.execute("UPDATE t SET a = 2; CREATE PUBLICATION p FOR TABLE t WITH (publish = 'insert, truncate')")
    tail = follow(publication="p")
    assert shown(tail.take(), "a") == [("read", 2)]
    postgres.execute("INSERT INTO t VALUES (3); DELETE FROM t; TRUNCATE t")
    assert shown(tail.take(), "a") == [("insert", 3), ("truncate", None)]


def test_large_values_that_an_update_did_not_touch(postgres: Database, follow: Follow) -> None:
    postgres.execute("""CREATE TABLE t (id int, part text, big text, PRIMARY KEY (id, part));
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL""")
    postgres.execute("INSERT INTO t SELECT g, E'it''s \\\\', repeat(g::text, 3000) FROM generate_series(1, 4) g")
    tails = [follow(slot=f"s_{postgres.name}_{kind}", unchangedToast=kind) for kind in ("fetch", "null")]
    for tail in tails:
        assert len(tail.take()) == 4
    postgres.execute("""ALTER TABLE t ADD note text; ALTER TABLE t DROP note;
        UPDATE t SET part = 'moved' WHERE id = 1; UPDATE t SET part = part || '!' WHERE id = 2""")
    postgres.execute("ALTER TABLE t ADD n int")
    postgres.execute("UPDATE t SET part = 'gone' WHERE id = 3; DELETE FROM t WHERE id = 3")
    for kind, tail in zip(("fetch", "null"), tails, strict=True):
        again = follow(at=tail.at, slot=f"s_{postgres.name}_{kind}", unchangedToast=kind)
        rows = [row for row in again.take() if row["_operation"] == "update"]
        assert [row["_unchanged"] for row in rows] == [["big"]] * 3
        wanted = ["1" * 3000, "2" * 3000, None] if kind == "fetch" else [None] * 3
        assert [row["big"] for row in rows] == wanted
    postgres.execute("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 5 WHERE id = 4")
    again = follow(at=again.at, slot=f"s_{postgres.name}_null", unchangedToast="null")
    (row,) = [row for row in again.take() if row["_operation"] == "update" and row["id"] == 4]
    assert (row["big"], row["n"], row["_unchanged"]) == ("4" * 3000, 5, None)


def test_columns_come_go_and_change(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, a int, d int GENERATED ALWAYS AS (id * 2) STORED)")
    tail = follow()
    assert tail.schema.fieldNames()[:3] == ["id", "a", "_operation"]
    tail.take()
    postgres.execute("INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD b text; INSERT INTO t VALUES (2, 2, DEFAULT, 'b')")
    with pytest.raises(AnalysisError, match=r"public.t has columns that are new to this stream: b\. Start the stream"):
        tail.take()
    ignoring = follow(at=tail.at, schemaChange="ignore", schema=schema("id integer, a integer, _operation string"))
    assert shown(ignoring.take(), "id", "a") == [("insert", 1, 1), ("insert", 2, 2)]
    tail = follow(at=ignoring.at)
    postgres.execute("INSERT INTO t VALUES (3, 3, DEFAULT, 'c'); ALTER TABLE t DROP a; INSERT INTO t VALUES (4)")
    assert shown(tail.take(), "id", "a", "b") == [("insert", 3, 3, "c"), ("insert", 4, None, None)]
    postgres.execute("TRUNCATE t")
    tail.take()
    postgres.execute("INSERT INTO t VALUES (5, DEFAULT, '5'); ALTER TABLE t ALTER b TYPE int USING b::int")
    postgres.execute("INSERT INTO t VALUES (6, DEFAULT, 6)")
    assert shown(tail.take(), "id", "b") == [("insert", 5, "5"), ("insert", 6, "6")]
    postgres.execute("ALTER TABLE t DROP d; ALTER TABLE t ALTER id TYPE bigint")
    postgres.execute("INSERT INTO t VALUES (7), (8000000000)")
    with pytest.raises(SparkError, match=r"column id .*public.t has the value '8000000000'.*start it again"):
        tail.take()
    tail = follow(at=tail.at)
    assert shown(tail.take(), "id") == [("insert", 7), ("insert", 8_000_000_000)]


def test_partitions_and_publications_with_columns_and_rows(postgres: Database, follow: Follow) -> None:
    postgres.execute("""CREATE TABLE p (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
        INSERT INTO p SELECT g, date '2024-01-01' + g FROM generate_series(1, 50) g;
        CREATE TABLE f (id int PRIMARY KEY, a text, secret text, keep bool);
        INSERT INTO f VALUES (1, 'a', 's', true), (2, 'b', 's', false);
        CREATE PUBLICATION leaves FOR TABLE p;
        CREATE PUBLICATION few FOR TABLE f (id, a) WHERE (id < 10)""")
    for publication in ("", "leaves"):
        tail = follow(
            "p", publication=publication, slot=f"{publication}_{postgres.name}", maxSnapshotRowsPerTrigger="20"
        )
        rows = tail.take()
        assert sorted(row["id"] for row in rows) == list(range(1, 51))
        assert {row["_table"] for row in rows} == {"public.p"}
        postgres.execute("UPDATE p SET day = '2024-02-20' WHERE id = 1; DELETE FROM p WHERE id = 50")
        moved = [row for row in tail.take() if row["_operation"] != "read"]
        assert {row["_table"] for row in moved} == {"public.p"}
        assert sorted(shown(moved, "id")) == [("delete", 1), ("delete", 50), ("insert", 1)]
        postgres.execute("UPDATE p SET day = '2024-01-02' WHERE id = 1; INSERT INTO p VALUES (50, '2024-02-20')")
    tail = follow("", publication="few")
    assert tail.schema.fieldNames()[:3] == ["id", "a", "_operation"]
    assert shown(tail.take(), "id", "a") == [("read", 1, "a"), ("read", 2, "b")]
    postgres.execute("INSERT INTO f VALUES (11, 'no', 's', true), (3, 'yes', 's', true); DELETE FROM f WHERE id = 2")
    assert shown(tail.take(), "id", "a") == [("insert", 3, "yes"), ("delete", 2, None)]
    with pytest.raises(AnalysisError, match="The publication few lacks the table public.p"):
        follow("p", publication="few")


def test_a_large_transaction_and_a_large_backlog(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int)")
    tail = follow(maxBytesPerTrigger="100k")
    tail.take()
    tail.batches.clear()
    postgres.execute("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 30000) g")
    for first in range(30_001, 31_001, 100):
        postgres.execute(f"INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series({first}, {first + 99}) g")
    rows = tail.take()
    assert [row["id"] for row in rows] == list(range(1, 31_001))
    assert in_order(rows)
    sizes = [len(batch) for batch in tail.batches]
    assert sizes[0] >= 30_000
    assert len(sizes) > 2
    # What nobody follows moves the slot on, without a batch for each of it.
    tail = follow(at=tail.at, heartbeat="1m")
    postgres.execute("INSERT INTO other SELECT generate_series(1, 100000)")
    assert tail.take() == []
    assert len(tail.batches) == 1
    (behind,) = postgres.execute(
        "SELECT pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s",
        f"s_{postgres.name}",
    )[0]
    assert behind < 1 << 20


def test_a_batch_that_was_cut_off_gives_the_same_rows(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    tail = follow()
    tail.take()
    postgres.execute("INSERT INTO t VALUES (1, 'a'); UPDATE t SET id = 2")
    at = tail.at
    assert tail.step(commit=False)
    postgres.execute("DELETE FROM t; INSERT INTO t VALUES (3, 'c')")
    again = follow(at=at)
    assert again.read(*tail.ranges[-1]) == tail.batches[-1]
    again = follow(at=tail.at)
    assert shown(again.take(), "id") == [("delete", 2), ("insert", 3)]


def test_a_snapshot_while_others_write(postgres: Database, follow: Follow) -> None:
    """Each row once: as it was, or by its changes. What is open when the slot is made comes as a change."""
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g"
    )
    postgres.execute("CREATE TABLE nokey (id int, v int); ALTER TABLE nokey REPLICA IDENTITY FULL")
    postgres.execute("INSERT INTO nokey SELECT g, 0 FROM generate_series(1, 1000) g")
    tail = follow("t,nokey", maxSnapshotRowsPerTrigger="10")
    assert tail.step()  # the slot may be made
    with psycopg.connect(postgres.url) as writer:
        writer.execute("INSERT INTO t VALUES (1000, 1)")
        made = threading.Thread(target=tail.step)
        made.start()
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE_REPLICATION_SLOT%' AND wait_event_type = 'Lock'"
        )
        for _ in range(1000):
            if postgres.execute(waits):
                break
        writer.commit()
        made.join(30)
    rows = list(tail.batches[-1])
    number = 0
    while tail.step() and number < 1000:
        number += 1
        rows += tail.batches[-1]
        if number < 10:
            postgres.execute(
                f"UPDATE t SET v = {number} WHERE id % 10 = {number}; INSERT INTO t VALUES ({2000 + number}, 9)"
            )
            postgres.execute(
                f"DELETE FROM t WHERE id = {10 * number}; UPDATE nokey SET v = 1 WHERE id = {number * 100}"
            )
    state: dict[int, int] = {}
    reads: list[int] = []
    for row in (row for row in rows if row["_table"] == "public.t"):
        if row["_operation"] == "delete":
            state.pop(row["id"], None)
        else:
            if row["_operation"] in ("read", "insert"):
                assert row["id"] not in state
            state[row["id"]] = row["v"]
            reads += [row["id"]] if row["_operation"] == "read" else []
    assert state == dict(postgres.execute("SELECT id, v FROM t"))
    assert len(reads) == len(set(reads)) < 101
    others = [row for row in rows if row["_table"] == "public.nokey"]
    assert len({row["id"] for row in others}) == len(others) == 1000
    assert number > 10


def test_a_table_written_anew_while_its_snapshot_is_read(
    postgres: Database, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 20) g"
    )
    tail = follow(maxSnapshotRowsPerTrigger="10")
    tail.step(), tail.step()
    postgres.execute("ALTER TABLE t ALTER v TYPE bigint")
    with caplog.at_level(logging.WARNING):
        tail.take()
    assert sorted(row["id"] for batch in tail.batches for row in batch) == list(range(1, 21))


def test_modes_of_the_snapshot(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    only = follow(snapshotMode="only")
    assert shown(only.take(), "id") == [("read", 1)]
    assert only.take() == []
    assert postgres.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", f"s_{postgres.name}") == []
    never = follow(snapshotMode="never")
    assert never.take() == []
    postgres.execute("INSERT INTO t VALUES (2)")
    # A stream that is new goes on from the slot as it stands.
    assert shown(follow(snapshotMode="never").take(), "id") == [("insert", 2)]
    with pytest.raises(IllegalStateError, match="is there already.*pg_drop_replication_slot"):
        follow().take()
    at_once = follow(slot=f"once_{postgres.name}")
    assert at_once.step(everything=True)
    assert shown(at_once.batches[0], "id") == [("read", 1), ("read", 2)]


def test_a_lost_slot_is_told_with_the_way_out(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    slot = f"s_{postgres.name}"
    tail = follow()
    tail.take()
    postgres.execute("INSERT INTO t VALUES (1)")
    postgres.execute("SELECT count(*) FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1', "
                     "'publication_names', %s)", slot, slot)  # fmt: skip
    with pytest.raises(IllegalStateError, match=r"(?s)slot s_t_\w+ is lost.*somebody else has read.*The way out"):
        tail.take()
    postgres.execute("SELECT pg_drop_replication_slot(%s)", slot)
    postgres.execute("INSERT INTO t VALUES (2)")
    with pytest.raises(IllegalStateError, match=r"not there any more.*snapshotMode = never"):
        follow(at=tail.at).take()


def test_a_slot_of_another_kind_or_in_use(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    slot = f"s_{postgres.name}"
    postgres.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", slot)
    with pytest.raises(IllegalStateError, match="of the plugin test_decoding"):
        follow().take()
    postgres.execute("SELECT pg_drop_replication_slot(%s)", slot)
    tail = follow(retryTimeout="300ms")
    tail.take()
    postgres.execute("INSERT INTO t VALUES (1)")
    with closing(psycopg.connect(postgres.url, autocommit=True, replication="database")) as holder:
        text = f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names '{slot}')"
        holder.pgconn.exec_(text.encode())
        with pytest.raises(SparkGeneralError, match=r"is active for PID \d+.*a slot of its own"):
            tail.take()


def test_a_slot_waits_for_those_who_were_there_before(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    tail = follow(url=f"{postgres.url}?options=-c%20lock_timeout%3D300")
    with psycopg.connect(postgres.url) as early:
        early.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(SparkGeneralError, match="lock timeout.*pg_stat_activity"):
            tail.take()
        early.commit()
    assert shown(tail.take(), "id") == [("read", 1)]


def test_passwords_stay_secret(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    for url in (
        postgres.url.replace(postgres.password, "wr0ng-secret"),
        f"{postgres.jdbc_url}?user=postgres&password=wr0ng-secret",
        f"postgresql://postgres:wr0ng-secret@127.0.0.1:{postgres.port}:7/x",
        "mysql://postgres:wr0ng-secret@127.0.0.1/x",
    ):
        with pytest.raises(SparkError) as raised:
            follow(url=url)
        assert "wr0ng-secret" not in str(raised.value)
    assert "password authentication failed" in str(
        _failure(lambda: follow(url=f"{postgres.jdbc_url}?user=postgres&password=x"))
    )
    postgres.execute("CREATE SCHEMA shop; CREATE TABLE shop.t (other int PRIMARY KEY)")
    tail = follow(url=f"{postgres.jdbc_url}?currentSchema=shop", user="postgres", password=postgres.password)
    assert tail.schema.fieldNames()[0] == "other"
    tail.take()
    assert postgres.password not in tail.at
    assert postgres.password not in repr(tail.reader._settings)


def _failure(work: Callable[[], object]) -> SparkError:
    with pytest.raises(SparkError) as raised:
        work()
    return raised.value


def test_what_is_refused(postgres: Database, follow: Follow) -> None:
    postgres.execute("""CREATE TABLE t (id int PRIMARY KEY, _lsn int); CREATE VIEW v AS SELECT 1 AS a;
        CREATE TABLE a (id int PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY, x text);
        CREATE TABLE "Odd ""Name,"(id int PRIMARY KEY, "C, d" text); INSERT INTO "Odd ""Name," VALUES (1, 'x')""")
    for options, error, text in (
        ({"tables": "nothing"}, AnalysisError, r"TABLE_OR_VIEW_NOT_FOUND\] There is no table nothing"),
        ({"tables": "v"}, AnalysisError, "v is no table"),
        ({"tables": "t"}, AnalysisError, "metadataPrefix"),
        ({"tables": "a,b"}, AnalysisError, r"column x is int in public\.a and string in public\.b"),
        ({"tables": ""}, IllegalArgumentError, "the option `tables`"),
        ({"tables": "", "publication": "none"}, AnalysisError, "no publication none.*CREATE PUBLICATION"),
        ({"tables": "a", "snapshotMode": "sometimes"}, IllegalArgumentError, "one of initial, never, only"),
        ({"tables": "a", "slot": "Not-Good"}, IllegalArgumentError, "lower case letters"),
        ({"tables": "a", "port": "x"}, IllegalArgumentError, "must be a number"),
    ):
        with pytest.raises(error, match=text):
            follow(**options)
    tail = follow("a", createSlot="false")
    with pytest.raises(IllegalStateError, match="createSlot is false"):
        tail.take()
    with pytest.raises(AnalysisError, match=r"createPublication is false: CREATE PUBLICATION"):
        follow("a", createPublication="false", publication="other").take()
    tail = follow("t", metadataPrefix="__", slot=f"t_{postgres.name}")
    assert tail.schema.fieldNames()[:3] == ["id", "_lsn", "__operation"]
    tail = follow('"Odd ""Name,"', slot=f"o_{postgres.name}")
    assert [row["C, d"] for row in tail.take()] == ["x"]
    both = follow("a,b", schema=schema("id integer, x string, _operation string"), slot=f"b_{postgres.name}")
    both.take()
    postgres.execute("INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 'one')")
    assert shown(both.take(), "x") == [("insert", "1"), ("insert", "one")]


def test_values_that_spark_has_no_value_for(postgres: Database, follow: Follow, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric, d date, ts timestamptz)")
    postgres.execute("INSERT INTO t SELECT g, g, '-infinity', 'infinity' FROM generate_series(1, 50) g")
    postgres.execute("INSERT INTO t VALUES (60, 'NaN')")
    failing = follow(slot=f"f_{postgres.name}")
    with pytest.raises(SparkError, match=r"column n .*public.t has the value 'NaN'.*STRING"):
        failing.take()
    as_text = schema("id integer, n string, _operation string")
    assert shown(follow(at=failing.at, schema=as_text, slot=f"f_{postgres.name}").take(), "n")[-1] == ("read", "NaN")
    skipping = follow(bad_data="skip", slot=f"s_{postgres.name}")
    rows = skipping.take()
    assert [row["id"] for row in rows] == list(range(1, 51))
    assert rows[0]["d"].isoformat() == "0001-01-03"
    assert rows[0]["ts"].isoformat() == "9999-12-31T23:59:59.999000+00:00"
    tail = follow(bad_data="dead_letter", bad_data_path=str(tmp_path / "bad"), before="true", slot=f"d_{postgres.name}")
    assert len(tail.take()) == 50
    postgres.execute("INSERT INTO t VALUES (70, 1), (71, 1e30), (72, 2); UPDATE t SET n = 5 WHERE id = 60")
    assert shown(tail.take(), "id") == [("insert", 70), ("insert", 72), ("update", 60)]
    letters = sorted(DeltaTable(tmp_path / "bad").to_pyarrow_table().to_pylist(), key=lambda letter: letter["time"])
    assert [letter["position"].split(" ")[:2][0] for letter in letters] == ["public.t"] * 2
    assert "NaN" in letters[0]["reason"]
    assert postgres.password not in str(letters)
    source = PostgresCdcSource(json.loads(letters[0]["options"]))
    wide = schema("id integer, n string, _operation string, _position integer, _commit_time timestamp")
    failed: list[int] = []
    again = source.parse_again(wide, [letter["raw"] for letter in letters], lambda index, _: failed.append(index))
    assert [(row["id"], row["n"], row["_operation"], row["_position"]) for row in again.to_pylist()] == [
        (60, "NaN", "read", 0),
        (71, "1000000000000000000000000000000", "insert", 2),
    ]
    assert source.parse_again(tail.schema, [letters[0]["raw"]], lambda index, _: failed.append(index)).num_rows == 0
    assert failed == [0]


def test_a_log_that_the_server_has_removed(postgres_home: Path) -> None:
    with PostgresServer(
        postgres_home, {"max_slot_wal_keep_size": "1MB", "wal_keep_size": "0", "max_wal_size": "32MB"}
    ) as server:
        server.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        tail = Tail(PostgresCdcSource, None, None, url=server.url, tables="t")
        tail.take()
        tail.reader.stop()
        for _ in range(4):
            server.execute("INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 40000) g")
            server.execute("SELECT pg_switch_wal()")
            server.execute("TRUNCATE t; CHECKPOINT")
        with pytest.raises(IllegalStateError, match="max_slot_wal_keep_size allows.*The way out"):
            tail.take()
        tail.reader.stop()


def test_large_values_of_rows_whose_key_reads_differently_as_text(postgres: Database, follow: Follow) -> None:
    """A cast to text leaves out a char's blanks, writes `true` for `t`, and a mask behind an address."""
    postgres.execute("""CREATE TABLE t (c char(5), b bool, a inet, v char(9000), n int, PRIMARY KEY (c, b, a));
        ALTER TABLE t ALTER v SET STORAGE EXTERNAL; INSERT INTO t VALUES ('x', true, '10.0.0.1', 'v', 1)""")
    tail = follow()
    tail.take()
    postgres.execute("UPDATE t SET n = 2")
    (row,) = tail.take()
    assert (row["n"], row["v"], row["_unchanged"]) == (2, "v".ljust(9000), ["v"])


@pytest.mark.parametrize("change", ["DROP big", "RENAME big TO other", "RENAME id TO other"])
def test_large_values_of_columns_that_are_gone(postgres: Database, follow: Follow, change: str) -> None:
    """The stream goes on: nobody knows these values any more."""
    postgres.execute("""CREATE TABLE t (id int PRIMARY KEY, big text, n int);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t VALUES (1, repeat('x', 9000), 1)""")
    tail = follow()
    tail.take()
    postgres.execute(f"UPDATE t SET n = 2; ALTER TABLE t {change}")
    tail.step(commit=False)
    row = tail.batches[-1][0]
    assert (row["id"], row["n"], row["big"], row["_unchanged"]) == (1, 2, None, ["big"])
    row = follow(at=tail.ranges[-1][0]).take()[0]
    assert (row["n"], row["_unchanged"]) == (2, ["big"])


def test_a_table_without_a_key_that_is_written_anew(postgres: Database, follow: Follow) -> None:
    """Its rows are told apart by their places: some would be left out."""
    postgres.execute("CREATE TABLE t (id int); ALTER TABLE t REPLICA IDENTITY FULL")
    postgres.execute("INSERT INTO t SELECT g FROM generate_series(1, 1000) g; ANALYZE t")
    tails = [follow(slot="other", snapshotMode=mode, maxSnapshotRowsPerTrigger="300") for mode in ("initial", "only")]
    for tail in tails:
        for _ in range(3):
            tail.step()
    postgres.execute("DELETE FROM t WHERE id < 5")
    postgres.execute("VACUUM FULL t")
    for tail in tails:
        with pytest.raises(IllegalStateError, match="no primary key, and it was written anew"):
            tail.take()
    assert len(follow(slot="other", snapshotMode="only").take()) == 996


def test_tables_that_inherit_are_followed_together(postgres: Database, follow: Follow) -> None:
    """The log tells rows of a child as the child's: a stream of the parent alone would lack them."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t)")
    with pytest.raises(AnalysisError, match="The table child inherits from t, .* Name child in the option"):
        follow()
    postgres.execute("INSERT INTO t VALUES (1); INSERT INTO child VALUES (2)")
    tail = follow("t,child")
    assert sorted(shown(tail.take(), "id", "_table")) == [("read", 1, "public.t"), ("read", 2, "public.child")]
    postgres.execute("INSERT INTO child VALUES (3)")
    assert shown(tail.take(), "id", "_table") == [("insert", 3, "public.child")]


def test_names_that_mean_the_same_or_nothing(postgres: Database, follow: Follow) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    assert shown(follow("t,public.t").take(), "id") == [("read", 1)]
    with pytest.raises(AnalysisError, match=r"columns that are not in public\.t: ID\. There are id; capitals count"):
        follow(slot="other", schema=schema("ID integer, _operation string")).take()
    with pytest.raises(AnalysisError, match=r"not in public\.t: ID"):
        follow(slot="other", schema=schema("ID integer"), snapshotMode="never").take()


@pytest.mark.parametrize("form", ["postgresql://me:{}@h/d", "jdbc:postgresql://me:{}@h/d"])
def test_no_part_of_a_password_is_shown(form: str) -> None:
    for password in ("s3/same", "12/34same"):
        with pytest.raises(IllegalArgumentError, match="In a URL a password's / is written %2F") as raised:
            Tail(PostgresCdcSource, url=form.format(password), tables="t")
        assert not any(part in str(raised.value) for part in ("s3", "same", "34"))
