"""Writing with `format("jdbc")`: save modes, columns, options, transactions, and from `foreachBatch`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.connectors.jdbc import Option, reader, refusal, url_of, values, write
from tests.connectors.postgres import Database
from tests.spec.support import finish


def columns_of(database: Database, table: str) -> list[tuple[str, str]]:
    found = database.execute(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass "
        "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [(name, kind) for name, kind in found]


def test_save_modes(spark: SparkSession, postgres: Database) -> None:
    base = spark.sql("SELECT 1 AS id, 'a' AS name")
    url, login = postgres.jdbc_url, {"user": postgres.user, "password": postgres.password}
    base.write.jdbc(url, "t", properties=login)
    said = refusal(partial(write, base, postgres, "t", "error"))
    assert "Table or view 't' already exists. SaveMode: ErrorIfExists." in said
    write(base, postgres, "t", "ignore")
    assert postgres.execute("SELECT count(*) FROM t") == [(1,)]
    base.write.jdbc(url, "t", mode="append", properties=login)
    assert postgres.execute("SELECT count(*) FROM t") == [(2,)]
    write(spark.sql("SELECT 2L AS other"), postgres, "t", "overwrite")
    assert columns_of(postgres, "t") == [("other", "bigint")]
    assert postgres.execute("SELECT * FROM t") == [(2,)]
    write(base.where("false"), postgres, '"My Table"', "ignore")
    assert columns_of(postgres, '"My Table"') == [("id", "integer"), ("name", "text")]
    # What the plan reads is what is written to.
    write(reader(spark, postgres, dbtable="t").selectExpr("other + 1 AS other"), postgres, "t")
    assert sorted(postgres.execute("SELECT * FROM t")) == [(2,), (3,)]


def test_columns_are_matched_by_name(spark: SparkSession, postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE t (ID int PRIMARY KEY, \"Name\" text DEFAULT 'dd', extra int DEFAULT 7, "
        "g int GENERATED ALWAYS AS (id * 2) STORED)"
    )
    write(spark.sql("SELECT 'a' AS NAME, 1 AS Id"), postgres, "t")
    write(spark.sql("SELECT 2 AS id"), postgres, "t")
    assert postgres.execute("SELECT * FROM t ORDER BY id") == [(1, "a", 7, 2), (2, "dd", 7, 4)]
    said = refusal(partial(write, spark.sql("SELECT 3 AS id, 1 AS nope"), postgres, "t"))
    assert '[COLUMN_NOT_DEFINED_IN_TABLE] "INT" column `nope` is not defined in table `t`' in said
    assert "duplicate key value violates unique constraint" in refusal(
        partial(write, spark.sql("SELECT 1 AS id"), postgres, "t")
    )
    assert "cannot insert a non-DEFAULT value into column" in refusal(
        partial(write, spark.sql("SELECT 5 AS id, 5 AS g"), postgres, "t")
    )
    write(spark.sql("SELECT 9 AS id"), postgres, "t", "overwrite", truncate=True)
    assert postgres.execute("SELECT * FROM t") == [(9, "dd", 7, 18)]
    # Rules and triggers see the rows of a view.
    postgres.execute('CREATE VIEW v AS SELECT id, "Name" FROM t')
    write(spark.sql("SELECT 10 AS id, 'v' AS name"), postgres, "v")
    assert postgres.execute('SELECT "Name" FROM t WHERE id = 10') == [("v",)]


def test_options_of_tables_that_are_made(spark: SparkSession, postgres: Database) -> None:
    base = spark.sql("SELECT 'a' AS name, 1 AS id, 2.5BD AS x")
    types = "NAME varchar(64), id bigint"
    write(
        base, postgres, "t", createTableColumnTypes=types, createTableOptions="WITH (fillfactor=70)", tableComment="hi"
    )
    assert columns_of(postgres, "t") == [("name", "character varying(64)"), ("id", "bigint"), ("x", "numeric(2,1)")]
    told = postgres.execute("SELECT obj_description('t'::regclass), reloptions FROM pg_class WHERE oid = 't'::regclass")
    assert told == [("hi", ["fillfactor=70"])]
    for text, said in (
        ("zz varchar(64)", "createTableColumnTypes option column zz not found in schema struct<"),
        ("name varchar2(64)", "[UNSUPPORTED_DATATYPE]"),
        ("name varchar(64), NAME string", "[COLUMN_ALREADY_EXISTS]"),
    ):
        assert said in refusal(partial(write, base, postgres, "u", createTableColumnTypes=text)), text
    assert "minimum value is 1" in refusal(partial(write, base, postgres, "u", numPartitions=0))
    assert 'schema "noschema" does not exist' in refusal(partial(write, base, postgres, "noschema.t"))
    query: dict[str, Option] = {"url": url_of(postgres), "query": "SELECT 1"}
    said = refusal(lambda: base.write.format("jdbc").options(**query).save())
    assert "Option 'query' is not applicable while writing." in said


def test_tables_that_others_refer_to(spark: SparkSession, postgres: Database) -> None:
    postgres.execute("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p)")
    one = spark.sql("SELECT 1 AS id")
    assert "cannot drop table p because other objects depend on it" in refusal(
        partial(write, one, postgres, "p", "overwrite")
    )
    assert "cannot truncate a table referenced in a foreign key" in refusal(
        partial(write, one, postgres, "p", "overwrite", truncate=True)
    )
    write(one, postgres, "p", "overwrite", truncate=True, cascadeTruncate=True)
    assert postgres.execute("SELECT * FROM p") == [(1,)]
    postgres.execute("CREATE TABLE q () INHERITS (p); INSERT INTO q VALUES (5)")
    write(one, postgres, "p", "overwrite", truncate=True, cascadeTruncate=True)
    assert sorted(postgres.execute("SELECT * FROM p")) == [(1,), (5,)]


@pytest.mark.parametrize("level", ["READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE", "NONE"])
def test_a_task_is_a_transaction(spark: SparkSession, postgres: Database, level: str) -> None:
    postgres.execute("CREATE TABLE t (id int CHECK (id < 2990))")
    rows = spark.range(3000).selectExpr("cast(id AS INT) AS id").coalesce(1)
    said = refusal(partial(write, rows, postgres, "t", numPartitions=1, isolationLevel=level, batchsize=1000))
    assert 'violates check constraint "t_id_check"' in said
    ((kept,),) = postgres.execute("SELECT count(*) FROM t")
    assert 2000 <= kept < 2990 if level == "NONE" else kept == 0
    write(rows.where("id < 2990"), postgres, "t", numPartitions=1, isolationLevel=level, batchsize=1000)
    assert postgres.execute("SELECT count(*), count(DISTINCT id) FROM t") == [(kept + 2990, 2990)]


def test_many_rows_by_several_tasks(spark: SparkSession, postgres: Database) -> None:
    rows = spark.range(50_000).selectExpr("id", "concat('name ', id) AS name", "cast(id / 4 AS DECIMAL(12,2)) AS x")
    write(rows.repartition(3), postgres, "t")
    assert postgres.execute("SELECT count(*), sum(id), sum(x), max(name) FROM t")[0][:2] == (50_000, 1_249_975_000)
    again = reader(spark, postgres, dbtable="t", partitionColumn="id", lowerBound=0, upperBound=50_000, numPartitions=3)
    assert values(again.exceptAll(rows)) == []
    assert again.count() == 50_000


def test_batches_of_a_stream_go_into_a_table(spark: SparkSession, postgres: Database, tmp_path: Path) -> None:
    for name in ("a", "b"):
        spark.range(3).selectExpr("id", f"'{name}' AS name").coalesce(1).write.mode("append").parquet(
            str(tmp_path / "in")
        )
    url, login = postgres.jdbc_url, {"user": postgres.user, "password": postgres.password}

    def store(batch: DataFrame, number: int) -> None:
        batch.persist()
        if batch.count():
            batch.selectExpr("*", f"{number}L AS batch").write.jdbc(url, "t", mode="append", properties=login)
            batch.write.format("jdbc").options(url=url, dbtable="copy", **login).mode("append").save()
        batch.unpersist()

    stream = (
        spark.readStream.schema("id LONG, name STRING").option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
    )
    writer = stream.writeStream.foreachBatch(store).option("checkpointLocation", str(tmp_path / "c"))
    finish(writer.trigger(availableNow=True).start())
    assert sorted(postgres.execute("SELECT count(*), count(DISTINCT batch) FROM t")) == [(6, 2)]
    assert postgres.execute("SELECT count(*) FROM copy") == [(6,)]
