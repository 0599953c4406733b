"""Definition files: how they are split, what each statement says, and what is refused with Spark's words."""

from __future__ import annotations

import pytest

from riacho.errors import AnalysisError, ParseError, SparkError
from riacho.server.graph.elements import TableKind
from riacho.server.graph.names import Identifier
from riacho.server.graph.sql import statements
from riacho.server.sql.scripts import statements as split


def parse(text: str) -> statements.Parsed:
    (statement,) = split(text)
    return statements.parse(statement, file="f.sql")


def test_split_honours_quotes_and_comments() -> None:
    text = "-- a; b\nSELECT ';' /* ; /* ; */ */ AS a;\n\n  SELECT \"x;y\", `;`;;\n-- the end;"
    assert [(s.text, s.line) for s in split(text)] == [
        ("SELECT ';' /* ; /* ; */ */ AS a", 2),
        ('SELECT "x;y", `;`', 4),
    ]


def test_a_quote_that_never_ends() -> None:
    with pytest.raises(ParseError, match=r"PARSE_SYNTAX_ERROR\] Syntax error at or near '''.*line 1, pos 7"):
        list(split("SELECT 'x"))


def test_materialized_view_with_everything() -> None:
    parsed = parse(
        """CREATE MATERIALIZED VIEW IF NOT EXISTS `my db`.m (id INT NOT NULL COMMENT 'a, b', d DECIMAL(10, 2))
        USING delta PARTITIONED BY (id, `the d` INT) COMMENT 'it''s' TBLPROPERTIES ('a.b' = '1', c.d 'x')
        AS WITH q AS (SELECT 1) SELECT * FROM q -- the end"""
    )
    assert parsed == statements.CreatePipelineDataset(
        kind=TableKind.MATERIALIZED_VIEW,
        name=Identifier(("my db", "m")),
        columns="id INT NOT NULL COMMENT 'a, b', d DECIMAL(10, 2)",
        format="delta",
        partition_by=("id", "the d"),
        comment="it's",
        properties={"a.b": "1", "c.d": "x"},
        query="WITH q AS (SELECT 1) SELECT * FROM q",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET a.b = c d", statements.SetConf("a.b", "c d")),
        ("set spark.x=1", statements.SetConf("spark.x", "1")),
        ("USE DATABASE db", statements.UseDatabase(Identifier(("db",)))),
        ("use schema cat.db", statements.UseDatabase(Identifier(("cat", "db")))),
        ("SET CATALOG c", statements.SetCatalog("c")),
        (
            "CREATE STREAMING TABLE t",
            statements.CreatePipelineDataset(kind=TableKind.STREAMING_TABLE, name=Identifier(("t",))),
        ),
        (
            "CREATE OR REPLACE TEMP VIEW v (x COMMENT 'c') COMMENT 'd' AS (SELECT 1)",
            statements.CreatePipelineView(Identifier(("v",)), True, "(SELECT 1)", "d"),
        ),
        ("CREATE VIEW d.v AS SELECT 1", statements.CreatePipelineView(Identifier(("d", "v")), False, "SELECT 1")),
        (
            "CREATE FLOW f COMMENT 'x' AS INSERT INTO t BY NAME SELECT * FROM STREAM s",
            statements.CreateFlow(Identifier(("f",)), Identifier(("t",)), "SELECT * FROM STREAM s"),
        ),
    ],
)
def test_statements(text: str, expected: statements.Parsed) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("CREATE OR REFRESH STREAMING TABLE", TableKind.STREAMING_TABLE),
        ("CREATE OR REFRESH PRIVATE STREAMING TABLE", TableKind.STREAMING_TABLE),
        ("CREATE TEMPORARY MATERIALIZED VIEW", TableKind.MATERIALIZED_VIEW),
        ("CREATE OR REFRESH MATERIALIZED VIEW", TableKind.MATERIALIZED_VIEW),
    ],
)
def test_lakeflows_heads(head: str, kind: TableKind) -> None:
    parsed = parse(f"{head} t CLUSTER BY (a, b.c) AS SELECT 1")
    assert parsed == statements.CreatePipelineDataset(
        kind=kind, name=Identifier(("t",)), cluster_by=("a", "b.c"), query="SELECT 1"
    )
    assert parse(f"{head} t CLUSTER BY AUTO AS SELECT 1") == statements.CreatePipelineDataset(
        kind=kind, name=Identifier(("t",)), query="SELECT 1"
    )


@pytest.mark.parametrize(
    ("target", "name", "once"),
    [("ONCE t", "t", True), ("once", "once", False), ("ONCE once", "once", True), ("ONCE TABLE t", "t", True)],
)
def test_flows_that_run_once(target: str, name: str, once: bool) -> None:
    parsed = parse(f"CREATE FLOW f AS INSERT INTO {target} BY NAME SELECT 1")
    assert parsed == statements.CreateFlow(Identifier(("f",)), Identifier((name,)), "SELECT 1", once)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("SELECT 1", "Project"),
        ("INSERT INTO x SELECT 1", "InsertIntoStatement"),
        ("CREATE TABLE x (a int)", "CreateTable"),
        ("CREATE TABLE x AS SELECT 1", "CreateTableAsSelect"),
        ("DROP TABLE x", "DropTable"),
        ("SHOW TABLES", "ShowTables"),
        ("CACHE TABLE x", "CacheTable"),
        ("USE a.b", "SetCatalogAndNamespace"),
    ],
)
def test_statements_that_define_nothing(text: str, plan: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        parse("\n" + text)
    assert str(caught.value) == (
        "[PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR] "
        f"Unsupported plan {plan} parsed from SQL query\n\nOffending query:\n{text}\n\nQuery defined at f.sql:2 "
        "SQLSTATE: 42000"
    )


@pytest.mark.parametrize(
    ("text", "near", "place"),
    [
        ("CREATE OR REFRESH VIEW m AS SELECT 1", "'VIEW'", "line 1, pos 18"),
        ("CREATE OR REPLACE MATERIALIZED VIEW m AS SELECT 1", "'MATERIALIZED'", "line 1, pos 18"),
        ("CREATE MATERIALIZED m AS SELECT 1", "'m': missing 'VIEW'", "line 1, pos 20"),
        ("CREATE MATERIALIZED VIEW m AS SELEC 1", "'SELEC'", "line 1, pos 30"),
        ("CREATE STREAMING TABLE m (CONSTRAINT c EXPECT a > 1) AS SELECT 1", "'a': missing '('", "line 1, pos 46"),
        (
            "CREATE STREAMING TABLE m (CONSTRAINT c EXPECT (a > 1) ON VIOLATION DROP) AS SELECT 1",
            "'DROP'",
            "line 1, pos 67",
        ),
        ("CREATE MATERIALIZED VIEW m SELECT 1 a", "'SELECT'", "line 1, pos 27"),
        ("CREATE STREAMING TABLE t FLOW INSERT INTO s", "'FLOW'", "line 1, pos 25"),
        ("CREATE FLOW f AS\nMERGE INTO t USING s", "'MERGE'", "line 2, pos 0"),
    ],
)
def test_syntax_errors_stand_where_spark_sees_them(text: str, near: str, place: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert caught.value.condition == "PARSE_SYNTAX_ERROR"
    assert f"Syntax error at or near {near}. SQLSTATE: 42601 ({place})" in str(caught.value)


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        ("(a INT, PRIMARY KEY (a))", "do not currently support column constraints"),
        ("(a INT, CONSTRAINT c CHECK (a > 1))", "do not currently support column constraints"),
        ("OPTIONS (a = 'b')", "Options are not supported for CREATE MATERIALIZED VIEW statements"),
        ("LOCATION '/x'", "Specifying location is not supported for CREATE MATERIALIZED VIEW statements"),
        ("STORED AS PARQUET", "The STORED AS syntax is not supported"),
        ("ROW FORMAT DELIMITED", "Hive SerDe format options are not supported"),
        ("CLUSTERED BY (a) INTO 2 BUCKETS", "Bucketing is not supported"),
        ("COMMENT 'x' COMMENT 'y'", r"Found duplicate clauses: COMMENT"),
        (
            "SCHEDULE EVERY 1 HOUR",
            "SCHEDULE is not supported for CREATE MATERIALIZED VIEW statements: a pipeline runs",
        ),
        ("TRIGGER ON UPDATE", "TRIGGER is not supported for CREATE MATERIALIZED VIEW statements: a pipeline runs"),
        ("WITH ROW FILTER f ON (a)", "Row filters are not supported for CREATE MATERIALIZED VIEW statements"),
        ("PARTITIONED BY (days(a))", r"Invalid partitioning transform \(days\(a\)\)"),
        ("PARTITIONED BY (a.b)", "Multipart partition identifier not allowed"),
    ],
)
def test_clauses_that_pipelines_refuse(clause: str, text: str) -> None:
    with pytest.raises(AnalysisError, match=text):
        parse(f"CREATE MATERIALIZED VIEW m {clause} AS SELECT 1 a")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("CREATE MATERIALIZED VIEW m", "Unable to find query for CREATE MATERIALIZED VIEW statement"),
        ("CREATE TEMPORARY VIEW a.v AS SELECT 1", "Temporary VIEW `v` cannot be qualified with `a`"),
        ("CREATE TEMPORARY VIEW IF NOT EXISTS v AS SELECT 1", "not allowed to define a TEMPORARY view with IF NOT"),
        ("CREATE FLOW f AS INSERT OVERWRITE t BY NAME SELECT 1", "INSERT OVERWRITE flows not supported"),
        ("CREATE FLOW f AS INSERT INTO t SELECT 1", "Only INSERT INTO by name flows supported"),
        ("CREATE FLOW f AS INSERT INTO t (a) SELECT 1", "Column schema may not be specified for flow target"),
        ("CREATE FLOW f AS INSERT INTO t PARTITION (a=1) SELECT 1", "Partition spec may not be specified"),
        ("SET a", "Invalid SET command without value"),
        ("SET", "Invalid SET command without key-value pair"),
    ],
)
def test_refusals(text: str, refusal: str) -> None:
    with pytest.raises(SparkError, match=refusal):
        parse(text)
