"""AUTO CDC in SQL: every clause, their order, and what is wrong with them."""

from __future__ import annotations

import pytest

from riacho.errors import ParseError, SparkError
from riacho.protos import pb
from riacho.server.graph.cdc.definition import EVERY, AutoCdc, ColumnSelection, ScdType
from riacho.server.graph.names import Identifier
from riacho.server.graph.sql import statements
from riacho.server.sql.scripts import statements as split


def parse(text: str) -> statements.Parsed:
    (statement,) = split(text)
    return statements.parse(statement, file="f.sql")


def changes(text: str) -> AutoCdc:
    parsed = parse(f"CREATE FLOW f AS AUTO CDC INTO t FROM {text}")
    assert isinstance(parsed, statements.CreateCdcFlow)
    return parsed.changes


def expression(text: str) -> pb.Expression:
    return pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))


def named(*parts: str) -> Identifier:
    return Identifier(parts)


def test_all_clauses() -> None:
    parsed = parse(
        """CREATE FLOW f COMMENT 'x' AS AUTO CDC ONCE INTO db.t FROM STREAM(cat.db.`my feed`) KEYS (id, `a.b`)
        IGNORE NULL UPDATES APPLY AS DELETE WHEN CASE WHEN op = 'apply as' THEN apply > 1 ELSE sequence END
        SEQUENCE BY STRUCT(stored, columns) COLUMNS * EXCEPT (op, apply) STORED AS SCD TYPE 2
        TRACK HISTORY ON * EXCEPT (v)"""
    )
    assert parsed == statements.CreateCdcFlow(
        named("f"),
        named("db", "t"),
        AutoCdc(
            source=named("cat", "db", "my feed"),
            keys=("id", "a.b"),
            sequence_by=expression("STRUCT(stored, columns)"),
            stored_as=ScdType.TYPE_2,
            apply_as_deletes=expression("CASE WHEN op = 'apply as' THEN apply > 1 ELSE sequence END"),
            columns=ColumnSelection(("op", "apply"), excluded=True),
            ignore_nulls=EVERY,
            track_history=ColumnSelection(("v",), excluded=True),
            once=True,
        ),
    )


@pytest.mark.parametrize("source", ["s", "STREAM s", "STREAM(s)", "stream ( s )"])
def test_sources(source: str) -> None:
    assert changes(f"{source} KEYS (k) SEQUENCE BY n").source == named("s")


def test_a_source_that_is_called_stream() -> None:
    assert changes("stream KEYS (k) SEQUENCE BY n").source == named("stream")


@pytest.mark.parametrize("columns", ["a, b", "(a, b)", "(`a`, b)"])
def test_columns(columns: str) -> None:
    found = changes(f"s KEYS (k) SEQUENCE BY n COLUMNS {columns} STORED AS SCD TYPE 1")
    assert found.columns == ColumnSelection(("a", "b"))
    assert found.stored_as is ScdType.TYPE_1


def test_truncates() -> None:
    found = changes("s KEYS (k) APPLY AS DELETE WHEN a APPLY AS TRUNCATE WHEN b SEQUENCE BY n")
    assert (found.apply_as_deletes, found.apply_as_truncates) == (expression("a"), expression("b"))


@pytest.mark.parametrize("head", ["CREATE OR REFRESH STREAMING TABLE", "CREATE STREAMING TABLE IF NOT EXISTS"])
def test_a_table_with_its_flow(head: str) -> None:
    parsed = parse(f"{head} t (k INT) COMMENT 'x' FLOW AUTO CDC FROM s KEYS (k) SEQUENCE BY n")
    assert isinstance(parsed, statements.CreatePipelineDataset)
    assert (parsed.name, parsed.columns, parsed.comment, parsed.query) == (named("t"), "k INT", "x", None)
    assert parsed.changes == AutoCdc(named("s"), ("k",), expression("n"))


def test_the_old_name() -> None:
    parsed = parse("APPLY CHANGES INTO t FROM STREAM s KEYS (k) SEQUENCE BY n")
    assert parsed == statements.CreateCdcFlow(None, named("t"), AutoCdc(named("s"), ("k",), expression("n")))


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("CREATE FLOW f AS AUTO CDC INTO t", "end of input"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s SEQUENCE BY n", "'SEQUENCE'"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k)", "end of input"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k + 1) SEQUENCE BY n", "'+'"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k) SEQUENCE BY n APPLY AS DELETE WHEN a", "'APPLY'"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k) SEQUENCE BY n STORED AS SCD TYPE 3", "'3'"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k) SEQUENCE BY n COLUMNS *", "end of input"),
        ("CREATE FLOW f AS AUTO CDC INTO t FROM s KEYS (k) SEQUENCE BY n STORED AS SCD TYPE 1 COLUMNS a", "'COLUMNS'"),
        ("CREATE FLOW f AS AUTO CDC t FROM s KEYS (k) SEQUENCE BY n", "'t'"),
        ("CREATE MATERIALIZED VIEW t FLOW AUTO CDC FROM s KEYS (k) SEQUENCE BY n", "'FLOW'"),
    ],
)
def test_syntax_errors(text: str, near: str) -> None:
    with pytest.raises(ParseError, match="PARSE_SYNTAX_ERROR") as caught:
        parse(text)
    assert f"near {near}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("s KEYS (s.k) SEQUENCE BY n", "AUTOCDC_MULTIPART_COLUMN_IDENTIFIER"),
        ("s KEYS (k) SEQUENCE BY n COLUMNS s.k", "AUTOCDC_MULTIPART_COLUMN_IDENTIFIER"),
        ("s KEYS (k) SEQUENCE BY n TRACK HISTORY ON a", None),
        ("s KEYS (k) APPLY AS TRUNCATE WHEN a SEQUENCE BY n STORED AS SCD TYPE 2", None),
    ],
)
def test_what_is_refused(text: str, condition: str | None) -> None:
    with pytest.raises(SparkError) as caught:
        changes(text)
    assert caught.value.condition == condition or condition is None
