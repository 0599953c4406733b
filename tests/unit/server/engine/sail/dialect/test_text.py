"""SQL text in the engine's words."""

from __future__ import annotations

import pytest

from riacho.errors import UnsupportedOperationError
from riacho.server.engine.sail.dialect import text_in_engine_words

CHANGED = [
    ("SELECT 'it''s'", r"SELECT 'it\'s'"),
    ('SELECT "a""b", "a\'\'b"', 'SELECT "a\\"b", "a\'\'b"'),
    (r"SELECT 'a\\''b'", r"SELECT 'a\\\'b'"),
    ("SELECT string(a) AS s FROM t", "SELECT CAST(a AS STRING) AS s FROM t"),
    ("SELECT isnan(a) FROM t", "SELECT (isnan(a) <=> true) AS `isnan(a)` FROM t"),
    ("SELECT a FROM t WHERE NOT isnan(a)", "SELECT a FROM t WHERE NOT (isnan(a) <=> true)"),
    (
        "SELECT CASE WHEN c THEN 0 ELSE x / y END r FROM t",
        "SELECT CASE WHEN c THEN coalesce(0, if(false, x / y, NULL)) ELSE x / y END r FROM t",
    ),
    (
        "SELECT CASE WHEN string(c) = 'x' THEN a ELSE b END AS r FROM t",
        "SELECT CASE WHEN CAST(c AS STRING) = 'x' THEN coalesce(a, if(false, b, NULL)) ELSE b END AS r FROM t",
    ),
    (
        "SELECT split(string(a), '') AS c FROM t",
        "SELECT if((CAST(a AS STRING) = ''), array(''), regexp_extract_all(CAST(a AS STRING), '(?s).', 0)) AS c FROM t",
    ),
    ("SELECT a FROM t WHERE b RLIKE '\\\\d'", "SELECT a FROM t WHERE b RLIKE '[0-9]'"),
    (
        "SELECT regexp_replace(a, '(b)', '$1x') AS r FROM t",
        "SELECT regexp_replace(a, '(b)', concat('${1}x')) AS r FROM t",
    ),
    (
        "SELECT string(a) AS minute, string(b) year FROM t",
        "SELECT CAST(a AS STRING) AS minute, CAST(b AS STRING) year FROM t",
    ),
    (
        "SELECT string(a) + INTERVAL 1 DAY FROM t",
        "SELECT CAST(a AS STRING) + INTERVAL 1 DAY AS `a + INTERVAL 1 DAY` FROM t",
    ),
    (
        "SELECT a FROM t WHERE exists(l, x -> x > 1) AND EXISTS (SELECT 1 FROM u)",
        "SELECT a FROM t WHERE exists(if((rand() >= 0), l, NULL), x -> x > 1) AND EXISTS (SELECT 1 FROM u)",
    ),
    ("SELECT extract(dow FROM d) AS n FROM t", "SELECT dayofweek(d) AS n FROM t"),
    ("SELECT datediff(DAY, a, b) AS n FROM t", "SELECT (datediff(HOUR, a, b) div 24L) AS n FROM t"),
    ("SELECT left(a, n) AS l FROM t", "SELECT substring(a, 1, greatest(n, 0)) AS l FROM t"),
    (
        "SELECT collect_list(a) OVER (ORDER BY b) AS l FROM t",
        "SELECT filter(collect_list(a) OVER (ORDER BY b), e -> isnotnull(e)) AS l FROM t",
    ),
    (
        "SELECT sum(v) AS a, sum(CAST(v AS DOUBLE)) OVER () AS b FROM t",
        "SELECT sum(v) AS a, sum(if(isnotnull('072f6afc'), CAST(v AS DOUBLE), NULL)) OVER () AS b FROM t",
    ),
    (
        "SELECT max(string(v)) AS c FROM t",
        "SELECT max(if(isnotnull('99cc2aac'), CAST(v AS STRING), NULL)) AS c FROM t",
    ),
    (
        "SELECT if(a, array(b, get(c, 0)), array(1.5)) AS x FROM t",
        "SELECT if(a, coalesce(array(b, get(c, 0)), if(false, array(1.5), NULL)), array(1.5)) AS x FROM t",
    ),
    (
        "SELECT * FROM t UNPIVOT INCLUDE NULLS (v FOR n IN (a, b))",
        "SELECT * FROM t UNPIVOT /* INCLUDE NULLS */ (v FOR n IN (a, b))",
    ),
    ("SELECT array_agg(a) OVER w AS l FROM t", "SELECT filter(array_agg(a) OVER w, e -> isnotnull(e)) AS l FROM t"),
]
KEPT = [
    "SELECT ''",
    "SELECT r'a''b'",
    "SELECT CAST(a AS STRING), t.string, string FROM t",
    "SELECT CASE WHEN a THEN 'x' ELSE b END, CASE WHEN a THEN 1 ELSE 2 END, CASE WHEN a THEN b END FROM t",
    "SELECT if(a, NULL, b), if(a, b, b), lower(a), extract(year FROM d), datediff(a, b), split(a, ',') FROM t",
    "SELECT regexp_replace(a, '[0-9]', 'x'), collect_list(a) FROM t",
    "SELECT sum(DISTINCT v), sum(v + 1), count(upper(v)), sum(int FROM t",
    "SELECT 1 -- it''s",
    "SELECT CASE WHEN a THEN 1",
    "SELECT isnan(",
]


@pytest.mark.parametrize(("before", "after"), CHANGED)
def test_what_differs_is_put_otherwise(before: str, after: str) -> None:
    assert text_in_engine_words(before) == after


@pytest.mark.parametrize("text", KEPT)
def test_all_else_stays(text: str) -> None:
    assert text_in_engine_words(text) is text


AGAIN = ("isnan", "split", "left(")
"""What is changed again, without harm."""


@pytest.mark.parametrize("before", [text for text, _ in CHANGED if not any(word in text for word in AGAIN)])
def test_a_text_is_changed_but_once(before: str) -> None:
    once = text_in_engine_words(before)
    assert text_in_engine_words(once) == once


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("weekday(d) + 1", "(weekday(d) + 1)"),
        ("string(a)", "a"),
        ("count(DISTINCT weekday(d))", "count(DISTINCT weekday(d))"),
        ("sum(DISTINCT CASE WHEN b THEN 0 ELSE c END)", "sum(DISTINCT CASE WHEN b THEN 0 ELSE c END)"),
        ("split(a, '')", "split(a, , -1)"),
        ("CASE WHEN i = 0 THEN 0 ELSE d END * 2", "(CASE WHEN (i = 0) THEN 0 ELSE d END * 2)"),
        ("CASE i WHEN 7 THEN 1 ELSE 2.5D END", "CASE WHEN (i = 7) THEN 1 ELSE 2.5 END"),
        ("if(a, 1, 2.5)", "(IF(a, 1, 2.5))"),
        ("weekday(date'2024-01-02')", "weekday(DATE '2024-01-02')"),
        ("percentile_approx(x, 0.5)", "percentile_approx(x, 0.5, 10000)"),
    ],
)
def test_columns_have_sparks_names(column: str, name: str) -> None:
    assert text_in_engine_words(f"SELECT {column} FROM t").endswith(f" AS `{name}` FROM t")
    assert text_in_engine_words(column, "column").endswith(f" AS `{name}`")


def test_branches_within_branches_do_not_double_for_ever() -> None:
    text = "x / y"
    for _ in range(30):
        text = f"CASE WHEN c THEN 0 ELSE {text} END"
    assert len(text_in_engine_words(text, "part")) < 200_000


def test_calls_within_calls_are_read_but_once() -> None:
    text = "'it''s'"
    for _ in range(60):
        text = f"left({text}, 2)"
    assert "'it\\'s'" in text_in_engine_words(text, "part")


def test_percentiles_with_a_filter() -> None:
    text = text_in_engine_words("percentile_approx(x, 0.5) FILTER (WHERE y > 1)", "part")
    assert "collect_list(if(y > 1, x, NULL))" in text
    assert "FILTER" not in text


def test_over_a_stream_percentiles_stay() -> None:
    text = "percentile_approx(x, 0.5)"
    assert text_in_engine_words(text, "column", aggregates=False) is text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT percentile_approx(x, 0.5) OVER () FROM t",
        "SELECT get_json_object(j, '$.a[*].b') FROM t",
        "SELECT * FROM t UNPIVOT (v FOR n IN (a, b))",
        "SELECT * FROM t UNPIVOT EXCLUDE NULLS (v FOR n IN (a, b))",
    ],
)
def test_what_cannot_be_had_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedOperationError, match="not supported"):
        text_in_engine_words(text)
