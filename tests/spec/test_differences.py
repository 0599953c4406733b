"""The differences in SQL that docs/compatibility.md names: each works on Spark, and must still fail on riacho.

When one of these tests "unexpectedly passes" on riacho, the engine has learnt it: take the row out here and there.
"""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

DIFFERENCES: list[tuple[str, str, list[tuple[Any, ...]]]] = [
    ("`QUALIFY`", "SELECT id FROM e QUALIFY row_number() OVER (ORDER BY id) = 1", [(1,)]),
    (
        "`PIVOT (… FOR c IN …)` in SQL",
        "SELECT * FROM (SELECT k, v FROM e) PIVOT (sum(v) FOR k IN ('a', 'b'))",
        [(10, 20)],
    ),
    ("`GROUP BY ALL`", "SELECT k, sum(v) FROM e GROUP BY ALL", [("a", 10), ("b", 20)]),
    ("`ORDER BY ALL`", "SELECT id FROM e ORDER BY ALL", [(1,), (2,)]),
    (
        "`WHERE` on a column of `LATERAL VIEW`",
        "SELECT c FROM e LATERAL VIEW explode(array(1, 2)) l AS c WHERE c > 1 AND id = 1",
        [(2,)],
    ),
    ("an alias used in the same `SELECT`", "SELECT id + 1 AS a, a * 2 AS b FROM e", [(2, 4), (3, 6)]),
    ("`FROM t \\|> …`", "FROM e |> WHERE id > 1 |> SELECT id", [(2,)]),
    ("`FROM t SELECT`", "FROM e SELECT id", [(1,), (2,)]),
    ("`SELECT * EXCEPT (a)`", "SELECT * EXCEPT (k, v, at) FROM e", [(1,), (2,)]),
    (
        "`WITH RECURSIVE`",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT * FROM t",
        [(1,), (2,), (3,)],
    ),
    ("`TABLESAMPLE (n ROWS)`", "SELECT count(*) FROM (SELECT * FROM e TABLESAMPLE (1 ROWS))", [(1,)]),
    ("`(a, b) IN (…)`", "SELECT id FROM e WHERE (id, k) IN ((1, 'a'))", [(1,)]),
    ("`LIKE ANY`", "SELECT id FROM e WHERE k LIKE ANY ('a', 'x')", [(1,)]),
    ("`EXECUTE IMMEDIATE`", "EXECUTE IMMEDIATE 'SELECT 1'", [(1,)]),
    ("`DISTRIBUTE BY`", "SELECT id FROM e DISTRIBUTE BY id", [(1,), (2,)]),
    ("`zip_with`", "SELECT zip_with(array(1), array(2), (x, y) -> x + y)", [([3],)]),
    ("`transform_values`", "SELECT transform_values(map('a', 1), (k, v) -> v + 1)", [({"a": 2},)]),
    ("`session_window` in a batch", "SELECT count(*) FROM e GROUP BY session_window(at, '5 minutes')", [(2,)]),
    ("`size(NULL)`", "SELECT size(null)", [(None,)]),
]
ROWS = [(1, "a", 10), (2, "b", 20)]


@pytest.fixture
def examples(spark: SparkSession) -> None:
    frame = spark.createDataFrame(ROWS, "id INT, k STRING, v INT").selectExpr("*", "timestamp'2024-01-01' AS at")
    frame.createOrReplaceTempView("e")


@pytest.mark.riacho_gap("docs/compatibility.md")
@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize(("query", "expected"), [pytest.param(sql, rows, id=name) for name, sql, rows in DIFFERENCES])
def test_spark_has_it(spark: SparkSession, query: str, expected: list[tuple[Any, ...]]) -> None:
    assert sorted(map(tuple, spark.sql(query).collect())) == expected
