"""What types decide about the text of queries and statements."""

from __future__ import annotations

import pyarrow as pa
import pytest

from riacho.server.engine.sail.typed.queries import typed_query

COLUMNS = pa.schema([("a", pa.float64()), ("b", pa.float64()), ("i", pa.int32())])


def typed(text: str) -> str:
    return typed_query(text, lambda query: COLUMNS if query.startswith("SELECT *") else None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a / b AS c", "(a / if(isnotnull(a), b, NULL)) AS c"),
        ("a / b", "(a / if(isnotnull(a), b, NULL)) AS `(a / b)`"),
        ("mod(a, b) AS c", "mod(a, if(isnotnull(a), b, NULL)) AS c"),
        ("1 + a % b AS c", None),
        ("a / 2 AS c", None),
        ("a * b AS c", None),
    ],
)
def test_the_divisor_is_null_where_the_dividend_is(before: str, after: str | None) -> None:
    made = typed(f"SELECT {before} FROM t")
    if after is not None:
        assert made == f"SELECT {after} FROM t"
    assert typed(made) == made
    assert ("isnotnull" in made) == ("/ 2" not in before and "*" not in before)


def test_a_long_chain_of_divisions_does_not_double_with_each() -> None:
    assert len(typed(f"SELECT {' / '.join(['a'] + ['b'] * 40)} AS c FROM t")) < 100_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("count(*) FILTER (WHERE a > '1') AS c", "count(*) FILTER (WHERE (a > CAST('1' AS DOUBLE))) AS c"),
        ("struct(i > '1') AS c", "struct((CAST(i AS BIGINT) > CAST('1' AS BIGINT))) AS c"),
    ],
)
def test_conditions_of_aggregates_and_values_of_structs_are_typed(before: str, after: str) -> None:
    assert typed(f"SELECT {before} FROM t") == f"SELECT {after} FROM t"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SELECT a FROM t JOIN u ON a > '1'", "SELECT a FROM t JOIN u ON (a > CAST('1' AS DOUBLE))"),
        ("SELECT a FROM t SEMI JOIN u ON a > '1'", "SELECT a FROM t SEMI JOIN u ON (a > CAST('1' AS DOUBLE))"),
        ("EXPLAIN SELECT a FROM t WHERE a > '1'", "EXPLAIN SELECT a FROM t WHERE (a > CAST('1' AS DOUBLE))"),
        ("VALUES (1 > '1', 2), (NULL, 3)", "VALUES ((1L > CAST('1' AS BIGINT)), 2), (NULL, 3)"),
        ("SELECT 1 > 0 FROM t GROUP BY window", "SELECT 1 > 0 FROM t GROUP BY window"),
    ],
)
def test_other_places_of_a_statement(before: str, after: str) -> None:
    assert typed(before) == after
