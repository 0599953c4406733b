"""SQL text to statements, as pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import ParseError, UnsupportedOperationError
from riacho.server.sql import statements as s
from riacho.server.sql.parse import parse

ID = s.ColumnDefinition("id", "BIGINT")

PAIRS: list[tuple[str, s.Statement | None]] = [
    # databases
    ("create database if not exists Bronze comment 'it''s'", s.CreateDatabase(("Bronze",), True, "it's")),
    ("CREATE SCHEMA a.b WITH DBPROPERTIES (x = 'y')", s.CreateDatabase(("a", "b"))),
    ("DROP NAMESPACE IF EXISTS x CASCADE;", s.DropDatabase(("x",), True, True)),
    ("DROP DATABASE x RESTRICT", s.DropDatabase(("x",))),
    ("USE `my db`", s.Use(("my db",))),
    ("USE SCHEMA b", s.Use(("b",))),
    ("USE CATALOG c", None),
    ("SHOW DATABASES", s.ShowDatabases()),
    ("SHOW NAMESPACES IN spark_catalog LIKE 'a*'", s.ShowDatabases("a*")),
    ("DESC SCHEMA EXTENDED b", s.DescribeDatabase(("b",), True)),
    ("COMMENT ON DATABASE b IS NULL", s.Comment(("b",), "", True)),
    # tables
    ("SHOW TABLES", s.ShowTables()),
    ("SHOW TABLES FROM b 'x*'", s.ShowTables(("b",), "x*")),
    ("SHOW VIEWS IN b LIKE 'v'", s.ShowTables(("b",), "v", views_only=True)),
    ("SHOW FUNCTIONS", None),
    ("SHOW TBLPROPERTIES t (a.b)", s.ShowProperties(("t",), "a.b")),
    ("SHOW COLUMNS IN t FROM b", s.ShowColumns(("b", "t"))),
    ("SHOW CREATE TABLE b.t AS SERDE", s.ShowCreateTable(("b", "t"))),
    ("CREATE TABLE t (id BIGINT)", s.CreateTable(("t",), (ID,))),
    (
        (
            "CREATE TABLE IF NOT EXISTS t (id BIGINT NOT NULL COMMENT 'a, b', m MAP<STRING, ARRAY<INT>>, "
            "d DECIMAL(10, 2), "
            "CONSTRAINT c CHECK (id > 0 AND m IS NOT NULL)) USING DELTA PARTITIONED BY (id) COMMENT 'x' "
            "TBLPROPERTIES ('a' = 'b', delta.enableChangeDataFeed = true, n = -1) LOCATION '/x'"
        ),
        s.CreateTable(
            ("t",),
            (
                s.ColumnDefinition("id", "BIGINT", False, "a, b"),
                s.ColumnDefinition("m", "MAP<STRING, ARRAY<INT>>"),
                s.ColumnDefinition("d", "DECIMAL(10, 2)"),
            ),
            "delta",
            ("id",),
            "x",
            {"a": "b", "delta.enableChangeDataFeed": "true", "n": "-1"},
            location="/x",
            constraints={"c": "id > 0 AND m IS NOT NULL"},
            if_not_exists=True,
        ),
    ),
    (
        "CREATE TABLE t (id BIGINT) PARTITIONED BY (day DATE)",
        s.CreateTable(("t",), (ID, s.ColumnDefinition("day", "DATE")), partition_by=("day",)),
    ),
    (
        "CREATE OR REPLACE TABLE t USING csv OPTIONS (header true) AS WITH x AS (SELECT 1) SELECT * FROM x -- done",
        s.CreateTable(
            ("t",),
            format="csv",
            options={"header": "true"},
            query="WITH x AS (SELECT 1) SELECT * FROM x",
            replace=True,
        ),
    ),
    ("CREATE TABLE t SELECT 1", s.CreateTable(("t",), query="SELECT 1")),
    ("REPLACE TABLE t (id BIGINT)", s.CreateTable(("t",), (ID,), replace=True, must_exist=True)),
    ("CREATE TABLE t LIKE b.u", s.CreateTable(("t",), like=("b", "u"))),
    ("CREATE TEMPORARY VIEW v AS SELECT 1", None),
    ("CREATE FUNCTION f() RETURNS INT RETURN 1", None),
    (
        "CREATE OR REPLACE VIEW b.v (x, y) COMMENT 'c' TBLPROPERTIES (k = 'v') AS SELECT 1, 2",
        s.CreateView(("b", "v"), "SELECT 1, 2", ("x", "y"), "c", replace=True),
    ),
    ("ALTER VIEW v AS SELECT 2", s.CreateView(("v",), "SELECT 2", replace=True)),
    ("DROP TABLE IF EXISTS t PURGE", s.Drop(("t",), False, True)),
    ("DROP VIEW v", s.Drop(("v",), True)),
    ("DROP FUNCTION f", None),
    ("TRUNCATE TABLE t", s.Truncate(("t",))),
    ("ALTER TABLE t SET TBLPROPERTIES ('a' = '1')", s.SetProperties(("t",), {"a": "1"})),
    ("ALTER TABLE t UNSET TBLPROPERTIES IF EXISTS (a, 'b')", s.SetProperties(("t",), unset=("a", "b"))),
    (
        "ALTER TABLE t ADD COLUMNS (a INT, b STRUCT<x: INT, y: STRING> COMMENT 'z')",
        s.AddColumns(
            ("t",),
            (s.ColumnDefinition("a", "INT"), s.ColumnDefinition("b", "STRUCT<x: INT, y: STRING>", comment="z")),
        ),
    ),
    ("ALTER TABLE t ADD COLUMN a INT", s.AddColumns(("t",), (s.ColumnDefinition("a", "INT"),))),
    ("ALTER TABLE t ALTER COLUMN a COMMENT 'x'", s.AlterColumn(("t",), "a", "x")),
    ("ALTER TABLE t CHANGE COLUMN a DROP NOT NULL", s.AlterColumn(("t",), "a", drop_not_null=True)),
    ("ALTER TABLE t RENAME TO u", s.RenameTable(("t",), ("u",))),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > (1 + 2))", s.Constrain(("t",), "c", "a > (1 + 2)")),
    ("ALTER TABLE t DROP CONSTRAINT IF EXISTS c", s.Constrain(("t",), "c", None, True)),
    ("COMMENT ON TABLE b.t IS 'x'", s.Comment(("b", "t"), "x")),
    ("DESCRIBE t", s.DescribeTable(("t",))),
    ("DESC TABLE FORMATTED b.t", s.DescribeTable(("b", "t"), True)),
    ("DESCRIBE t a", None),
    ("DESCRIBE QUERY SELECT 1", None),
    ("DESCRIBE DETAIL delta.`/a b/c`", s.DescribeDetail(("delta", "/a b/c"))),
    ("DESCRIBE HISTORY t LIMIT 3", s.DescribeHistory(("t",), 3)),
    # rows
    ("INSERT INTO t VALUES (1, 'a;b'), (2, NULL)", s.Insert(("t",), "VALUES (1, 'a;b'), (2, NULL)")),
    ("INSERT INTO TABLE t (a, `b c`) SELECT 1, 2", s.Insert(("t",), "SELECT 1, 2", ("a", "b c"))),
    ("INSERT OVERWRITE t (SELECT 1)", s.Insert(("t",), "(SELECT 1)", overwrite=True)),
    ("INSERT INTO t BY NAME SELECT 1 AS a", s.Insert(("t",), "SELECT 1 AS a", by_name=True)),
    (
        "INSERT INTO t REPLACE WHERE a IN (1, 2) SELECT 1 AS a",
        s.Insert(("t",), "SELECT 1 AS a", by_name=True, overwrite=True, where="a IN (1, 2)"),
    ),
    ("INSERT OVERWRITE LOCAL DIRECTORY '/x' USING json SELECT 1", s.InsertDirectory("/x", "json", "SELECT 1")),
    (
        "INSERT OVERWRITE DIRECTORY USING csv OPTIONS (path '/x', header true) SELECT 1",
        s.InsertDirectory("/x", "csv", "SELECT 1", {"header": "true"}),
    ),
    ("DELETE FROM t", s.Delete(("t",))),
    ("DELETE FROM b.t AS x WHERE x.a = 1 OR b", s.Delete(("b", "t"), "x.a = 1 OR b", "x")),
    (
        "UPDATE t SET a = CASE WHEN b = 1 THEN 2 ELSE 3 END, t.c = f(1, 2) WHERE d",
        s.Update(("t",), ((("a",), "CASE WHEN b = 1 THEN 2 ELSE 3 END"), (("t", "c"), "f(1, 2)")), "d"),
    ),
    (
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.x > 1 THEN UPDATE SET t.a = s.a, b = s.b "
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (a, b) VALUES (s.a, f(s.b, 1)) "
            "WHEN NOT MATCHED BY SOURCE THEN DELETE"
        ),
        s.Merge(
            ("t",),
            None,
            ("s",),
            None,
            "t.id = s.id",
            (
                s.MergeClause("matched", "update", "s.x > 1", ((("t", "a"), "s.a"), (("b",), "s.b"))),
                s.MergeClause("matched", "delete"),
                s.MergeClause("not_matched", "insert", None, ((("a",), "s.a"), (("b",), "f(s.b, 1)"))),
                s.MergeClause("not_matched_by_source", "delete"),
            ),
        ),
    ),
    (
        (
            "MERGE INTO t AS a USING (SELECT CASE WHEN x THEN 1 END AS id FROM u) b ON a.id = b.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        ),
        s.Merge(
            ("t",),
            "a",
            "SELECT CASE WHEN x THEN 1 END AS id FROM u",
            "b",
            "a.id = b.id",
            (s.MergeClause("matched", "update"), s.MergeClause("not_matched", "insert")),
        ),
    ),
    ("OPTIMIZE t ZORDER BY (a, b)", s.Optimize(("t",), ("a", "b"))),
    ("VACUUM t RETAIN 168 HOURS DRY RUN", s.Vacuum(("t",), 168, True)),
    ("RESTORE TABLE t TO VERSION AS OF 3", s.Restore(("t",), 3)),
    ("RESTORE t TO TIMESTAMP AS OF '2024-01-01'", s.Restore(("t",), timestamp="2024-01-01")),
    ("REFRESH TABLE t", s.Refresh(("t",))),
    ("FSCK REPAIR TABLE b.t DRY RUN", s.Repair(("b", "t"), dry_run=True)),
    ("UPDATE t SET t.n.x = 1, `a b` == DEFAULT", s.Update(("t",), ((("t", "n", "x"), "1"), (("a b",), "DEFAULT")))),
    (
        "MERGE WITH SCHEMA EVOLUTION INTO t USING b.s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",
        s.Merge(("t",), None, ("b", "s"), None, "t.id = s.id", (s.MergeClause("not_matched", "insert"),), evolve=True),
    ),
    ("INSERT INTO t (map, a) TABLE s", s.Insert(("t",), "TABLE s", ("map", "a"))),
    # not about names
    ("SELECT 1", None),
    ("/* drop table t */ SELECT 1", None),
    ("SET x = 1", None),
]


@pytest.mark.parametrize(("text", "expected"), PAIRS, ids=[text[:40] for text, _ in PAIRS])
def test_pairs(text: str, expected: s.Statement | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("DROP TABLE", "end of input"),
        ("DROP TABLE a b", "'b'"),
        ("CREATE TABLE t (a INT", "end of input"),
        ("CREATE VIEW v SELECT 1", "'SELECT'"),
        ("ALTER TABLE t SET TBLPROPERTIES", "end of input"),
        ("UPDATE t SET a 1", "'1'"),
        ("MERGE INTO t USING s ON", "end of input"),
        ("SHOW TABLES LIKE x", "'x'"),
        ("VACUUM t RETAIN many HOURS", "'many'"),
        ("RESTORE t TO 3", "'3'"),
    ],
)
def test_what_does_not_fit_is_shown(text: str, near: str) -> None:
    with pytest.raises(ParseError, match=f"(?s)PARSE_SYNTAX_ERROR.*at or near ({near}).*== SQL =="):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE DATABASE b LOCATION '/x'",
        "CREATE TABLE t (a INT DEFAULT 1)",
        "CREATE TABLE t (a INT, PRIMARY KEY (a))",
        "CREATE TABLE t (a INT) PARTITIONED BY (years(a))",
        "CREATE TABLE t (a INT) CLUSTER BY (a)",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t ALTER COLUMN a TYPE BIGINT",
    ],
)
def test_what_is_refused_says_what_to_do(text: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"\. \w+"):
        parse(text)


VOCABULARY = """
    CREATE DROP TABLE VIEW DATABASE IF NOT EXISTS ( ) , ; . t `a_b` 'x' 1 AS SELECT INSERT INTO MERGE USING ON WHEN
    MATCHED THEN UPDATE SET = * ALTER ADD COLUMNS SHOW DESCRIBE < > CASE END WHERE PARTITIONED BY
"""
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), max_size=25)


@given(WORDS)
def test_any_text_is_read_or_refused(words: list[str]) -> None:
    try:
        parse(" ".join(words))
    except (ParseError, UnsupportedOperationError):
        return
