"""Reading with `format("jdbc")`: options, partitions, filters, and what is said of options that make no sense."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import partial

import pytest
from pyspark.sql import SparkSession

from tests.connectors.jdbc import Option, asked, reader, refusal, url_of, values
from tests.connectors.postgres import Database

at = datetime.fromisoformat


def _read(spark: SparkSession, options: Mapping[str, Option]) -> None:
    spark.read.format("jdbc").options(**options).load().collect()


@pytest.fixture
def small(postgres: Database) -> Database:
    """A database with a table of 20 rows."""
    postgres.execute(
        "CREATE TABLE small AS SELECT g AS id, 'n' || g AS name, date '2020-01-01' + g AS d, "
        "timestamp '2020-01-01' + g * interval '1 hour' AS ts, (g * 1.5)::numeric(10,2) AS amount "
        "FROM generate_series(1, 20) g; INSERT INTO small VALUES (NULL, NULL, NULL, NULL, NULL)"
    )
    return postgres


def test_the_same_table_by_every_door(spark: SparkSession, small: Database) -> None:
    url, login = small.jdbc_url, {"user": small.user, "password": small.password}
    expected = [(20, "n20", date(2020, 1, 21), at("2020-01-01 20:00"))]
    where = "id = 20"
    doors = {
        "dbtable": spark.read.format("jdbc").options(url=url, dbtable="small", **login).load(),
        "query": spark.read.format("JDBC").options(url=url, query="SELECT * FROM small;", **login).load(),
        "subquery": reader(spark, small, dbtable="(SELECT * FROM small) AS s"),
        "schema": reader(spark, small, dbtable='public."small"'),
        "driver": reader(spark, small, dbtable="small", driver="org.postgresql.Driver"),
        "long name": spark.read.format("org.apache.spark.sql.jdbc").options(url=url, dbtable="small", **login).load(),
        "jdbc": spark.read.jdbc(url, "small", properties=login),
        "column": spark.read.jdbc(url, "small", "id", 1, 20, 3, properties=login),
        "predicates": spark.read.jdbc(url, "small", predicates=["id < 5", "id >= 5"], properties=login),
        "prepareQuery": reader(spark, small, prepareQuery="WITH w AS (SELECT * FROM small)", query="SELECT * FROM w"),
    }
    for door, frame in doors.items():
        assert values(frame.where(where).select("id", "name", "d", "ts")) == expected, door
    spark.sql(f"CREATE TEMPORARY VIEW v USING jdbc OPTIONS (url '{url_of(small)}', dbtable 'small')")
    assert values(spark.sql(f"SELECT id, name, d, ts FROM v WHERE {where}")) == expected


def test_partitions_have_all_rows_once(spark: SparkSession, small: Database) -> None:
    for column, lower, upper in (
        ("id", "1", "20"),
        ("id", "-100", "5"),
        ("id", "4", "5"),  # no more than one partition is left
        ("amount", "1", "30"),
        ("d", "2020-01-02", "2020-01-20"),
        ("ts", "2020-01-01 01:00:00", "2020-01-01 19:30:00.5"),
        ("ts", "0001-01-02", "9999-12-31 23:59:59"),
        ('"id"', "3", "9"),
    ):
        options: dict[str, Option] = {"partitionColumn": column, "lowerBound": lower, "upperBound": upper}
        frame = reader(spark, small, dbtable="small", numPartitions=3, **options)
        assert sorted(row[0] or 0 for row in values(frame.select("id"))) == list(range(21)), column
    # Predicates are taken as they are: rows may come twice, or never.
    twice = spark.read.jdbc(url_of(small), "small", predicates=["id <= 2", "id <= 1"])
    assert sorted(row[0] for row in values(twice.select("id"))) == [1, 1, 2]


def test_filters_give_the_rows_that_spark_gives(spark: SparkSession, postgres: Database) -> None:
    postgres.execute(
        "CREATE COLLATION whatever (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
        'CREATE TABLE t (id int, s text COLLATE "C", i text COLLATE whatever, c char(5), f float4, n numeric, u uuid, '
        "j jsonb, ts timestamptz, b bytea, bo boolean, k oid); INSERT INTO t VALUES "
        "(1, 'a%b', 'A', 'ab', 0.1, 1.50, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', "
        "'2020-01-01 12:00:00+00', '\\x01', true, 4000000000), (2, 'a_b\\', 'a', 'b', 'NaN', 2, NULL, NULL, "
        "'2020-06-01 12:00:00+00', NULL, false, 1); INSERT INTO t (id, s) VALUES (3, 'it''s')"
    )
    frame = reader(spark, postgres, dbtable="t")
    for condition, expected in (
        ("s = 'a%b'", [1]),
        ("s LIKE 'a%'", [1, 2]),
        ("startswith(s, 'a_')", [2]),
        ("contains(s, '%')", [1]),
        ("endswith(s, '\\\\')", [2]),
        ("s = 'it''s'", [3]),
        ("s <> 'a%b'", [2, 3]),
        ("s > 'a%b'", [2, 3]),
        ("s IN ('a%b', 'x')", [1]),
        ("s NOT IN ('a%b', 'x')", [2, 3]),
        ("i IS NULL", [3]),
        ("c = 'b'", [2]),
        ("c NOT LIKE 'ab'", [1, 2]),
        ("c <= 'ab' AND length(c) = 5 AND id + 0 = 1", [1]),
        ("c IS NOT NULL", [1, 2]),
        ("f > 1", [2]),
        ("n >= 1.5BD", [1, 2]),
        ("n = 2", [2]),
        ("u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", [1]),
        ("ts > timestamp'2020-03-01 00:00:00'", [2]),
        ("ts <=> NULL", [3]),
        ("b = X'01'", [1]),
        ("bo", [1]),
        ("NOT bo", [2]),
        ("id = 1 OR n = 2", [1, 2]),
        ("id IN (1, 3) AND s IS NOT NULL", [1, 3]),
        ("k > 5", [1]),
    ):
        found = sorted(row[0] for row in values(frame.where(condition).select("id")))
        assert found == expected, condition
    assert frame.where("id > 1").count() == 2
    assert reader(spark, postgres, dbtable="t", pushDownPredicate=False).where("s = 'a%b'").count() == 1


def test_options_of_the_connection(spark: SparkSession, postgres: Database) -> None:
    postgres.execute("CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 7 AS a")
    url = url_of(postgres, "currentSchema=other,public", "ApplicationName=my%20app", "rewriteBatchedInserts=true")
    frame = spark.read.format("jdbc").options(url=url, dbtable="t", fetchsize=10, loginTimeout=5).load()
    assert values(frame) == [(7,)]
    named = spark.read.format("jdbc").options(url=url, query="SELECT current_setting('application_name') AS a").load()
    assert values(named) == [("my app",)]
    two = postgres.jdbc_url.replace("//", "//127.0.0.1:1,")
    login = {"user": postgres.user, "password": postgres.password}
    assert values(spark.read.jdbc(two, "other.t", properties=login)) == [(7,)]
    init = "SET search_path = other"
    assert values(reader(spark, postgres, dbtable="other.t", sessionInitStatement=init)) == [(7,)]
    slow = reader(spark, postgres, query="SELECT pg_sleep(30)::text AS a", queryTimeout=1)
    assert "canceling statement due to" in refusal(slow.collect)
    broken = reader(spark, postgres, dbtable="other.t", sessionInitStatement="selec")
    assert 'syntax error at or near "selec"' in refusal(broken.collect)


def test_what_contradicts_itself_is_refused(spark: SparkSession, small: Database) -> None:
    url = url_of(small)
    part: dict[str, Option] = {"partitionColumn": "id", "lowerBound": "1", "upperBound": "9", "numPartitions": "2"}
    table: dict[str, Option] = {"url": url, "dbtable": "small"}
    cases: tuple[tuple[dict[str, Option], str], ...] = (
        ({"dbtable": "t"}, "requirement failed: Option 'url' is required."),
        ({"url": url}, "Option 'dbtable' or 'query' is required."),
        (
            {"url": url, "dbtable": "t", "query": "q"},
            "Both 'dbtable' and 'query' can not be specified at the same time.",
        ),
        ({"url": url, "dbtable": ""}, "Option `dbtable` can not be empty."),
        ({**table, "driver": "com.nope.Driver"}, "com.nope.Driver"),
        ({**table, "driver": "org.sqlite.JDBC"}, "[FAILED_JDBC.CONNECTION]"),
        ({"url": "jdbc:x:y", "dbtable": "t"}, "No suitable driver"),
        ({"url": "postgresql://h/db", "dbtable": "t"}, "No suitable driver"),
        ({**table, "isolationLevel": "X"}, "Invalid value `X` for parameter `isolationLevel`."),
        ({**table, "batchsize": 0}, "Invalid value `0` for parameter `batchsize`. The minimum value is 1."),
        ({**table, "numPartitions": "x"}, 'For input string: "x"'),
        ({**table, "truncate": "maybe"}, 'For input string: "maybe"'),
        ({**table, "partitionColumn": "id"}, "users need to specify all or none for the following options"),
        (
            {"url": url, "query": "SELECT 1 AS id", **part},
            "'query' and 'partitionColumn' can not be specified together",
        ),
        ({**table, **part, "partitionColumn": "zz"}, "User-defined partition column zz not found in the JDBC relation"),
        (
            {**table, **part, "partitionColumn": "name"},
            "Partition column type should be numeric, date, or timestamp, but",
        ),
        ({**table, **part, "lowerBound": "a"}, 'For input string: "a"'),
        ({**table, **part, "partitionColumn": "d", "lowerBound": "x"}, "Cannot parse the bound value x as date"),
        ({**table, **part, "lowerBound": 10}, "the lower bound of partitioning column is larger than the upper bound"),
        ({**table, "hint": "x"}, "Invalid value `x` for option `hint`."),
        ({**table, "hint": "/*+ x */"}, "[HINT_UNSUPPORTED_FOR_JDBC_DIALECT]"),
        ({"url": url, "dbtable": "nope"}, 'relation "nope" does not exist'),
        ({"url": url, "query": "selec 1"}, "[JDBC_EXTERNAL_ENGINE_SYNTAX_ERROR.DURING_OUTPUT_SCHEMA_RESOLUTION]"),
        ({"url": url, "query": "SELECT 1 AS a, 2 AS a"}, "[COLUMN_ALREADY_EXISTS] The column `a` already exists."),
        ({**table, "fetchsize": -1}, "Fetch size must be a value greater than or equal to 0."),
    )
    for options, said in cases:
        assert said in refusal(partial(_read, spark, options)), said


def test_a_database_that_lets_nobody_in(spark: SparkSession, postgres: Database) -> None:
    login: dict[str, Option] = {"user": postgres.user, "password": "hunter2"}
    good: dict[str, Option] = {**login, "password": postgres.password}
    for options in (
        {"url": postgres.jdbc_url, **login},
        {"url": f"{postgres.jdbc_url}?user={postgres.user}&password=hunter2"},
        {"url": postgres.jdbc_url.replace(postgres.name, "no_such_database"), **good},
        {"url": "jdbc:postgresql://127.0.0.1:1/x?connectTimeout=2", **login},
    ):
        said = refusal(partial(_read, spark, {"dbtable": "t", **options}))
        assert "[FAILED_JDBC.CONNECTION] Failed JDBC jdbc:postgresql:*********(redacted)" in said
        assert "hunter2" not in said
        assert postgres.password not in said


def test_a_view_takes_rows(spark: SparkSession, postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int, name text, d date DEFAULT '2020-01-01')")
    spark.sql(f"CREATE TEMPORARY VIEW v USING jdbc OPTIONS (url '{url_of(postgres)}', dbtable 't')")
    spark.sql("INSERT INTO v VALUES (1, 'a', date'2021-01-01')")
    spark.sql("INSERT INTO v (id, name) VALUES (2, 'b')")
    spark.range(3, 5).selectExpr("cast(id AS INT) AS id", "'x' AS name", "date'2022-01-01' AS d").write.insertInto("v")
    day = date(2022, 1, 1)
    assert values(spark.sql("SELECT * FROM v ORDER BY id")) == [
        (1, "a", date(2021, 1, 1)), (2, "b", None), (3, "x", day), (4, "x", day)
    ]  # fmt: skip
    assert "[INSERT_COLUMN_ARITY_MISMATCH." in refusal(partial(spark.sql, "INSERT INTO v VALUES (1)"))
    spark.sql("INSERT OVERWRITE TABLE v SELECT 9, 'o', date'2022-01-01'")
    assert values(spark.table("v")) == [(9, "o", day)]
    assert postgres.execute("SELECT id, name, d FROM t") == [(9, "o", day)]
    shown = str(spark.sql("EXPLAIN EXTENDED SELECT * FROM v WHERE id = 9").collect())
    assert postgres.password not in shown


@pytest.mark.riacho_only
def test_databases_without_a_driver_are_named(spark: SparkSession) -> None:
    said = refusal(partial(_read, spark, {"url": "jdbc:mysql://h/db?user=u&password=hunter2", "dbtable": "t"}))
    assert "riacho cannot reach mysql databases" in said
    assert "The way out:" in said
    assert "hunter2" not in said


def test_queries_see_what_is_there_at_the_time(spark: SparkSession, postgres: Database) -> None:
    postgres.execute("CREATE TABLE t AS SELECT 1 AS a")
    frame = reader(spark, postgres, dbtable="t")
    postgres.execute("INSERT INTO t VALUES (2)")
    assert sorted(values(frame)) == [(1,), (2,)]
    assert asked(spark, postgres, "SELECT count(*) AS n FROM t") == [(2,)]
    assert frame.join(frame.withColumnRenamed("a", "b"), frame.a == 2).count() == 2
