"""Changes of PostgreSQL as a stream into Delta: snapshot, every kind of change, every type; on riacho and on Spark."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.connectors.postgres import Database
from tests.spec.support import finish

PAGE = Path(__file__).resolve().parents[2] / "docs" / "postgres-cdc.md"
SAID = ["_table", "_lsn", "_commit_lsn", "_position", "_commit_time", "_transaction", "_unchanged"]


def stream(spark: SparkSession, postgres: Database, schema: str | None = None, **options: Any) -> DataFrame:
    reader = spark.readStream.format("postgres_cdc").option("url", postgres.url).options(**options)
    return (reader if schema is None else reader.schema(schema)).load()


def run(frame: DataFrame, folder: Path) -> DataFrame:
    """Take in what there is; the table as it is then."""
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    finish(writer.option("mergeSchema", "true").trigger(availableNow=True).start(str(folder / "table")))
    return table(frame.sparkSession, folder)


def table(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.read.format("delta").load(str(folder / "table"))


def told(frame: DataFrame) -> list[tuple[Any, ...]]:
    """Rows in the order of the log, without what is said of them but the operation."""
    return [tuple(row) for row in frame.orderBy("_commit_lsn", "_position", *frame.columns[:1]).drop(*SAID).collect()]


def slot_of(postgres: Database) -> str:
    """A slot is the server's: tables of one name in databases of several tests need several."""
    return f"s_{postgres.name}"


def test_a_snapshot_and_then_every_kind_of_change(connectors: SparkSession, postgres: Database, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2))")
    postgres.execute("INSERT INTO items SELECT g, 'n' || g, g / 4.0 FROM generate_series(1, 10) g")
    options = {"tables": "items", "slot": slot_of(postgres), "maxSnapshotRowsPerTrigger": "6"}
    frame = stream(connectors, postgres, **options)
    assert frame.schema.simpleString() == (
        "struct<id:int,name:string,price:decimal(10,2),_operation:string,_table:string,_lsn:bigint,_commit_lsn:bigint,"
        "_position:int,_commit_time:timestamp,_transaction:bigint,_unchanged:array<string>>"
    )
    first = run(frame, tmp_path)
    assert told(first) == [(n, f"n{n}", Decimal(n) / 4, "read") for n in range(1, 11)]
    assert {row["_table"] for row in first.collect()} == {"public.items"}

    postgres.execute("INSERT INTO items VALUES (11, 'new', NULL); UPDATE items SET name = '' WHERE id = 1")
    postgres.execute("UPDATE items SET id = 20 WHERE id = 2")
    postgres.execute("DELETE FROM items WHERE id = 3")
    postgres.execute("BEGIN; INSERT INTO items VALUES (12, 'gone', 0); ROLLBACK")
    postgres.execute("TRUNCATE items")
    after = run(frame, tmp_path).where("_operation <> 'read'")
    assert told(after) == [
        (11, "new", None, "insert"),
        (1, "", Decimal("0.25"), "update"),
        (2, None, None, "delete"),
        (20, "n2", Decimal("0.50"), "update"),
        (3, None, None, "delete"),
        (None, None, None, "truncate"),
    ]
    lsns = [
        {row["_lsn"] for row in rows.collect()}
        for rows in (table(connectors, tmp_path).where("_operation = 'read'"), after)
    ]
    assert len(lsns[0]) == 1
    assert max(lsns[0]) < min(lsns[1])
    assert after.select("_commit_lsn", "_position").distinct().count() == 6
    assert after.select("_transaction").distinct().count() == 4
    assert after.where("_commit_time > current_timestamp() - INTERVAL 1 HOUR").count() == 6
    assert told(run(frame, tmp_path).where("_operation <> 'read'")) == told(after)


TYPES = """CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE > 0);
CREATE TABLE types (id int PRIMARY KEY, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n102 numeric(10,2),
  big numeric(50,3), b bool, vc varchar(5), c char(3), nm name, by bytea, d date, t time, ttz timetz, ts timestamp,
  tstz timestamptz, iv interval, u uuid, j json, jb jsonb, x xml, m mood, p price, ip inet, o oid, b1 bit, b8 bit(8),
  pt point, r int4range, ai int4[], at text[], an price[], aby bytea[], ats timestamptz[], am mood[], aa int4[][])"""
VALUES = r"""2, 9000000000, 1.5, 'NaN', 1.23456, 12.34, 123.456, true, 'b', 'c', 'n', '\x00ff', '2024-01-02',
  '12:34:56.789', '12:34:56+02', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05.678901+02',
  '1 year 2 days 03:04:05', '00000000-0000-0000-0000-000000000001', '{"a":  1}', '{"a":  1}', '<a/>', 'happy', 5,
  '10.0.0.1/8', 42, '1', '10101010', '(1,2)', '[1,5)', '{1,NULL,3}', '{a,"b c",NULL,"q\"\\"}', '{1.5,2}',
  '{"\\x00ff"}', '{"2024-01-02 03:04:05+02"}', '{sad}', '{{1,2},{3,4}}'"""


def moment(text: str) -> datetime:
    """As PySpark gives them: without a zone."""
    return datetime.fromisoformat(text)


EXPECTED: dict[str, tuple[str, Any]] = {
    "i2": ("smallint", 2), "i8": ("bigint", 9_000_000_000), "f4": ("float", 1.5), "f8": ("double", "nan"),
    "n": ("decimal(38,18)", Decimal("1.23456")), "n102": ("decimal(10,2)", Decimal("12.34")),
    "big": ("decimal(38,0)", Decimal(123)), "b": ("boolean", True), "vc": ("string", "b"), "c": ("string", "c  "),
    "nm": ("string", "n"), "by": ("binary", b"\x00\xff"), "d": ("date", date(2024, 1, 2)),
    "t": ("timestamp_ntz", moment("1970-01-01 12:34:56.789")),
    "ttz": ("timestamp", moment("1970-01-01 10:34:56")),
    "ts": ("timestamp_ntz", moment("2024-01-02 03:04:05.678901")),
    "tstz": ("timestamp", moment("2024-01-02 01:04:05.678901")), "iv": ("string", "1 year 2 days 03:04:05"),
    "u": ("string", "00000000-0000-0000-0000-000000000001"), "j": ("string", '{"a":  1}'), "jb": ("string", '{"a": 1}'),
    "x": ("string", "<a/>"), "m": ("string", "happy"), "p": ("decimal(8,2)", Decimal(5)),
    "ip": ("string", "10.0.0.1/8"), "o": ("decimal(20,0)", Decimal(42)), "b1": ("boolean", True),
    "b8": ("binary", b"10101010"), "pt": ("string", "(1,2)"), "r": ("string", "[1,5)"),
    "ai": ("array<int>", [1, None, 3]), "at": ("array<string>", ["a", "b c", None, 'q"\\']),
    "an": ("array<decimal(8,2)>", [Decimal("1.5"), Decimal(2)]), "aby": ("array<binary>", [b"\x00\xff"]),
    "ats": ("array<timestamp>", [moment("2024-01-02 01:04:05")]), "am": ("array<string>", ["sad"]),
    "aa": ("array<array<int>>", [[1, 2], [3, 4]]),
}  # fmt: skip


def test_every_type_alike_in_the_snapshot_and_in_changes(
    connectors: SparkSession, postgres: Database, tmp_path: Path
) -> None:
    postgres.execute(TYPES)
    postgres.execute(f"INSERT INTO types VALUES (1, {VALUES}); INSERT INTO types VALUES (2)")
    frame = stream(connectors, postgres, tables="types", slot=slot_of(postgres))
    run(frame, tmp_path)
    postgres.execute(f"INSERT INTO types VALUES (3, {VALUES}); INSERT INTO types VALUES (4)")
    found = run(frame, tmp_path)
    assert dict(found.dtypes[1 : len(EXPECTED) + 1]) == {name: kind for name, (kind, _) in EXPECTED.items()}
    rows = found.withColumn("f8", F.col("f8").cast("string")).orderBy("id").collect()
    assert [row["_operation"] for row in rows] == ["read", "read", "insert", "insert"]
    for row in (rows[0], rows[2]):
        values = {name: row[name] for name in EXPECTED}
        values["f8"] = values["f8"].lower()
        assert values == {name: value for name, (_, value) in EXPECTED.items()}
    assert [rows[n][name] for n in (1, 3) for name in EXPECTED] == [None] * len(EXPECTED) * 2


def test_the_copy_of_the_page(connectors: SparkSession, postgres: Database, database: str, tmp_path: Path) -> None:
    """docs/postgres-cdc.md keeps a copy of a table by merging: deletes, truncates, and a batch that comes twice."""
    (example,) = re.findall(r"```python\n(def merge.*?\n)spark.sql", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example.replace("shop.orders", f"{database}.orders"), names)
    postgres.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text); INSERT INTO orders VALUES (1, 'a'), (2, 'b')"
    )
    connectors.sql(f"CREATE TABLE {database}.orders (id INT, status STRING, _lsn BIGINT) USING delta")
    frame = stream(connectors, postgres, tables="orders", slot=slot_of(postgres))

    def copied(folder: str) -> list[tuple[Any, ...]]:
        writer = frame.writeStream.foreachBatch(names["merge"]).option("checkpointLocation", str(tmp_path / folder))
        finish(writer.trigger(availableNow=True).start())
        found = connectors.table(f"{database}.orders").select("id", "status").orderBy("id").collect()
        return [tuple(row) for row in found]

    assert copied("c") == [(1, "a"), (2, "b")]
    postgres.execute("UPDATE orders SET status = 'c' WHERE id = 1; DELETE FROM orders WHERE id = 2")
    postgres.execute("INSERT INTO orders VALUES (2, 'again'), (3, 'd'); UPDATE orders SET id = 4 WHERE id = 3")
    assert copied("c") == [(1, "c"), (2, "again"), (4, "d")]
    postgres.execute("INSERT INTO orders VALUES (5, 'gone'); TRUNCATE orders; INSERT INTO orders VALUES (6, 'e')")
    assert copied("c") == [(6, "e")] == postgres.execute("SELECT id, status FROM orders")


def test_new_rows_by_a_cursor(connectors: SparkSession, postgres: Database, tmp_path: Path) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now(), price numeric(8,2), tags text[])"
    )
    postgres.execute("INSERT INTO t SELECT g, '2024-01-01', g / 3.0, ARRAY['x', g::text] FROM generate_series(1, 7) g")
    reader = connectors.readStream.format("postgres_incremental").option("url", postgres.url).option("table", "t")
    frame = reader.options(cursorColumn="at", maxRowsPerTrigger=3).load()
    assert frame.schema.simpleString() == "struct<id:int,at:timestamp,price:decimal(8,2),tags:array<string>>"
    assert [row["id"] for row in run(frame, tmp_path).orderBy("id").collect()] == list(range(1, 8))
    postgres.execute("UPDATE t SET at = now(), price = 100 WHERE id = 1; INSERT INTO t VALUES (8, '2024-01-01')")
    found = run(frame, tmp_path).orderBy("id", "price").collect()
    assert [(row["id"], row["price"], row["tags"]) for row in found if row["id"] in (1, 8)] == [
        (1, Decimal("0.33"), ["x", "1"]),
        (1, Decimal(100), ["x", "1"]),
        (8, None, None),
    ]
    assert len(found) == 9


def test_the_password_is_told_nowhere(connectors: SparkSession, postgres: Database, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE ok (id int PRIMARY KEY); INSERT INTO ok VALUES (1)")
    frame = stream(connectors, postgres, tables="ok", slot=slot_of(postgres))
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    query = writer.trigger(availableNow=True).start(str(tmp_path / "table"))
    finish(query)
    assert [row["id"] for row in table(connectors, tmp_path).collect()] == [1]
    told = [str(query.lastProgress), str(query.recentProgress)]
    told += [file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(postgres.password in text for text in told)
    with pytest.raises(PySparkException, match="password authentication failed") as raised:
        assert stream(connectors, postgres, tables="t", password="wr0ng-secret").schema
    assert "wr0ng-secret" not in str(raised.value)
    with pytest.raises(PySparkException, match="There is no table nothing"):
        assert stream(connectors, postgres, tables="nothing").schema
