"""SQL text as tokens, statements, tables and columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import ParseError
from riacho.server.plan.from_sql.select_items import Call, name_columns
from riacho.server.sql.heads import ViewDefinition, may_stream, read_sql
from riacho.server.sql.references import Watermark, table_references
from riacho.server.sql.tokens import has_word, parse_identifier, splice, split_statements, tokenize

SQL_LIKE = st.text(alphabet=" \n'\"`/*-;,.()abSELECTFROMstream01", max_size=60)


def tables(sql: str) -> list[str]:
    """The tables of a text, streams marked."""
    return [("~" if table.streaming else "") + ".".join(table.parts) for table in table_references(sql)]


@given(SQL_LIKE)
def test_tokens_are_pieces_of_the_text_in_order(sql: str) -> None:
    position = 0
    for token in tokenize(sql):
        assert position <= token.start < token.end <= len(sql)
        assert sql[token.start : token.end] == token.text
        position = token.end


@given(SQL_LIKE)
def test_nothing_changes_without_edits(sql: str) -> None:
    assert splice(sql, []) == sql


def test_strings_comments_and_quoted_names() -> None:
    sql = "a 'it''s' \"b\\\"c\" r'\\' `d``e` -- 'no\n /* x /* y */ z */ f 1.5e3 ::"
    assert [(token.kind, token.text) for token in tokenize(sql)] == [
        ("word", "a"),
        ("string", "'it''s'"),
        ("string", '"b\\"c"'),
        ("string", "r'\\'"),
        ("quoted", "`d``e`"),
        ("word", "f"),
        ("number", "1.5e3"),
        ("symbol", "::"),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("t", ("t",)),
        ("cat.`my db`.t", ("cat", "my db", "t")),
        ("`a``b`", ("a`b",)),
        ("delta.`/x.y/z`", ("delta", "/x.y/z")),
        ("a b", ()),
        ("", ()),
    ],
)
def test_parse_identifier(text: str, parts: tuple[str, ...]) -> None:
    assert parse_identifier(text) == parts


def test_split_statements() -> None:
    script = "select ';' -- a; b\n; /* ; */ ;\ncreate table `a;b` (x int)"
    assert split_statements(script) == ["select ';' -- a; b", "create table `a;b` (x int)"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from STREAM t", ["~t"]),
        ("select * from STREAM(a.`b c`.t)", ["~a.b c.t"]),
        ("select * from t, stream u x join (select k from v) y on x.a = y.b, w", ["t", "~u", "v", "w"]),
        ("select extract(year from ts), trim(both 'x' from s) from t where a is distinct from b", ["t"]),
        ("select stream from (select 1 as stream)", []),
        ("select stream.a from t stream", ["t"]),
        ("select * from stream where a = 1", ["stream"]),
        ("select * from (STREAM t) where a in (select b from c)", ["~t", "c"]),
        ("with x as (select * from STREAM x), y(a) as (select * from x) select * from x join y", ["~x"]),
        ("select * from range(3), values (1), read_files('x') r", []),
        ("select * from t lateral view explode(a) x as b, c", ["t"]),
        ("from STREAM t |> where a = 1", ["~t"]),
        ("insert into t select * from u", ["u"]),
        ("merge into t using STREAM s on t.a = s.a when matched then delete", ["~s"]),
        ("select * from a join b using (k) join c using (k), d", ["a", "b", "c", "d"]),
        ("select 'from x', \"from y\" from t -- from z", ["t"]),
    ],
)
def test_tables_that_a_text_reads(sql: str, expected: list[str]) -> None:
    assert tables(sql) == expected


def test_all_clauses_of_a_stream() -> None:
    sql = (
        "select * from STREAM(db.t) WITH ('maxFilesPerTrigger' = '1', readChangeFeed = true) IDENTIFIED BY src "
        "WATERMARK date_trunc('hour', ts) AS h DELAY OF INTERVAL 1 HOUR 30 MINUTES AS x where a > 1"
    )
    [table] = table_references(sql)
    assert table.parts == ("db", "t")
    assert table.options == {"maxFilesPerTrigger": "1", "readChangeFeed": "true"}
    assert table.source_name == "src"
    assert table.watermark == Watermark("date_trunc('hour', ts)", "h", "1 hours 30 minutes")
    assert table.aliased
    assert sql[: table.start] == "select * from "
    assert sql[table.end :] == " AS x where a > 1"


@pytest.mark.parametrize(
    ("sql", "near", "place"),
    [
        (
            "select * from STREAM t WATERMARK ts DELAY OF '10 minutes'",
            "''10 minutes'': missing 'INTERVAL'",
            "(line 1, pos 45)",
        ),
        ("select * from STREAM t\nWATERMARK ts", "end of input", "(line 2, pos 12)"),
        ("select * from STREAM(t", "end of input", "(line 1, pos 22)"),
    ],
)
def test_incomplete_clauses(sql: str, near: str, place: str) -> None:
    with pytest.raises(ParseError) as error:
        table_references(sql)
    assert f"[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 {place}" in error.value.message
    assert "\n\n== SQL ==\nselect * from STREAM" in error.value.message


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("select 1", "query"),
        ("-- a comment\n (select 1)", "query"),
        ("with a as (select 1) select * from a", "query"),
        ("with a as (select 1) insert into b select * from a", "command"),
        ("values (1)", "query"),
        ("from t |> limit 1", "query"),
        ("create table t (a int)", "command"),
        ("show tables", "command"),
        ("", "command"),
    ],
)
def test_kind(sql: str, kind: str) -> None:
    assert read_sql(sql).kind == kind


@pytest.mark.parametrize(
    ("sql", "view"),
    [
        ("create temp view v as select 1", ViewDefinition(("v",), "select 1")),
        (
            "CREATE OR REPLACE GLOBAL TEMPORARY VIEW `my v` (a, b COMMENT 'x') COMMENT 'as' AS select 1, 2 ; ",
            ViewDefinition(("my v",), "select 1, 2", ("a", "b"), replace=True, is_global=True),
        ),
        (
            "create temp view if not exists v tblproperties ('as' = 'x') as select 1",
            ViewDefinition(("v",), "select 1", if_not_exists=True),
        ),
        ("create view v as select 1", None),
        ("create temp view v using json options (path '/x')", None),
        ("select 1", None),
    ],
)
def test_temporary_views(sql: str, view: ViewDefinition | None) -> None:
    assert read_sql(sql).view == view


def test_streaming() -> None:
    assert read_sql("select * from STREAM t").streaming
    assert not read_sql("select * from t").streaming


def test_plain_text_is_told_from_text_that_may_stream() -> None:
    assert not may_stream("select a from t", {"v"})
    assert may_stream("select a from Stream(t)")
    assert may_stream("select a from `V`", {"v"})


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select NOW from t", "select NOW AS `now()` from t"),
        ("select f(1, NOW), b from t", "select f(1, NOW) AS `f(1, now())`, b from t"),
        ("select NOW n, NOW AS m from t where NOW > 1", "select NOW n, NOW AS m from t where NOW > 1"),
        ("select NOW - interval 1 day", "select NOW - interval 1 day AS `now() - interval 1 day`"),
        (
            "select a from (select distinct (NOW) from u) v",
            "select a from (select distinct (NOW) AS `now()` from u) v",
        ),
        ("select a from t group by f(NOW), b", "select a from t group by f(NOW), b"),
        (
            "select case when NOW > 1 then 2 end from t",
            "select case when NOW > 1 then 2 end AS `case when now() > 1 then 2 end` from t",
        ),
    ],
)
def test_columns_keep_their_names(sql: str, expected: str) -> None:
    calls = [Call(token.start, token.end, "now()") for token in tokenize(sql) if token.text == "NOW"]
    assert splice(sql, name_columns(sql, calls, "query")) == expected


def test_names_of_single_columns_and_of_parts() -> None:
    calls = [Call(0, 3, "now()")]
    assert splice("NOW + 1", name_columns("NOW + 1", calls, "column")) == "NOW + 1 AS `(now() + 1)`"
    assert name_columns("NOW + 1", calls, "part") == []


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select 1 union all select 2", True),
        ("select 'union' as u -- union\n, `union`", False),
        ("select reunion from t", False),
        ("(a) UNION(b)", True),
    ],
)
def test_words_are_found_where_they_are_words(sql: str, found: bool) -> None:
    assert has_word(sql, ("UNION", "EXCEPT")) is found
