"""Wrong statements: what is shown as wrong, and where, is the same on both servers, to the last blank."""

from __future__ import annotations

import pytest
from pyspark.errors import ParseException
from pyspark.sql import SparkSession

from tests.spec.support import said, syntax_error

CASES: dict[str, list[tuple[str, str, int, int]]] = {
    "the end is where more was expected": [
        ("DROP TABLE", "end of input", 1, 10),
        ("DROP TABLE;", "';'", 1, 10),
        ("DROP TABLE  -- c\n", "end of input", 2, 0),
        ("USE", "end of input", 1, 3),
        ("SHOW TABLES IN", "end of input", 1, 14),
        ("DESCRIBE", "end of input", 1, 8),
        ("TRUNCATE", "end of input", 1, 8),
        ("COMMENT ON TABLE t", "end of input", 1, 18),
        ("CREATE TABLE t (a INT", "end of input", 1, 21),
        ("CREATE TABLE t (a INT)\nUSING", "end of input", 2, 5),
        ("CREATE VIEW v", "end of input", 1, 13),
        ("CREATE VIEW v AS", "end of input", 1, 16),
        ("CREATE DATABASE d COMMENT", "end of input", 1, 25),
        ("CREATE TEMPORARY VIEW v USING", "end of input", 1, 29),
        ("CREATE TEMPORARY VIEW", "end of input", 1, 21),
        ("CREATE OR REPLACE TEMP VIEW v", "end of input", 1, 29),
        ("INSERT INTO t", "end of input", 1, 13),
        ("UPDATE t SET a = ", "end of input", 1, 17),
        ("UPDATE t SET a = 1 WHERE", "end of input", 1, 24),
        ("MERGE INTO t USING s ON", "end of input", 1, 23),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN", "end of input", 1, 51),
        ("ALTER TABLE t ADD", "end of input", 1, 17),
        ("ALTER TABLE t SET TBLPROPERTIES", "end of input", 1, 31),
        ("ALTER TABLE t UNSET TBLPROPERTIES ('a'", "end of input", 1, 38),
        ("-- only a comment", "end of input", 1, 17),
    ],
    "something else stands there": [
        ("DROP TABLE 'a\nb'", "''a\\nb''", 1, 11),
        ("SHOW COLUMNS t", "'t'", 1, 13),
        ("SHOW TABLES LIKE x", "'x'", 1, 17),
        ("CREATE TABLE t (a INT COMMENT x)", "'x'", 1, 30),
        ("CREATE TABLE t (a)", "')'", 1, 17),
        ("CREATE TABLE t (a INT,)", "')'", 1, 22),
        ("CREATE TABLE t (a INT) TBLPROPERTIES ('a' = )", "')'", 1, 44),
        ("CREATE TABLE t AS\nFOO", "'FOO'", 2, 0),
        ("CREATE VIEW v SELECT 1", "'SELECT'", 1, 14),
        ("CREATE VIEW v AS (FOO", "'FOO'", 1, 18),
        ("CREATE TEMPORARY VIEW v AS\nFOO", "'FOO'", 2, 0),
        ("CREATE TEMPORARY VIEW v (a) SELECT 1", "'SELECT'", 1, 28),
        ("CREATE GLOBAL TEMPORARY VIEW v COMMENT x AS SELECT 1", "'x'", 1, 39),
        ("INSERT t VALUES (1)", "'t'", 1, 7),
        ("INSERT INTO t (a) FOO", "'FOO'", 1, 18),
        ("MERGE t USING s", "'t'", 1, 6),
        ("MERGE INTO t USING s ON a = b WHEN MATCHED DELETE", "'DELETE'", 1, 43),
        ("MERGE INTO t USING s ON a = b WHEN FOO", "'FOO'", 1, 35),
        ("ALTER TABLE t ADD FOO", "'FOO'", 1, 18),
        ("ALTER TABLE t RENAME x", "'x'", 1, 21),
        ("ALTER TABLE t ADD CONSTRAINT c FOO", "'FOO'", 1, 31),
        ("COMMENT ON TABLE t IS x", "'x'", 1, 22),
        ("USE 'a'", "''a''", 1, 4),
        (";", "';'", 1, 0),
    ],
    "there is too much": [
        ("DROP TABLE a b; ", "'b': extra input 'b'", 1, 13),
        ("DROP TABLE a -- c\n b", "'b': extra input 'b'", 2, 1),
        ("DROP TABLE a b c", "'b'", 1, 13),
        ("DROP TABLE a.", "'.': extra input '.'", 1, 12),
        ("TRUNCATE x TABLE t", "'x': extra input 'x'", 1, 9),
        ("COMMENT ON TABLE t x IS 'a'", "'x': extra input 'x'", 1, 19),
        ("SHOW TABLES x", "'x': extra input 'x'", 1, 12),
        ("SHOW TBLPROPERTIES t x", "'x': extra input 'x'", 1, 21),
        ("CREATE TABLE t (a INT) FOO", "'FOO': extra input 'FOO'", 1, 23),
        ("CREATE TABLE t (a INT) USING delta FOO BAR", "'FOO'", 1, 35),
        ("CREATE TABLE t (a INT) TBLPROPERTIES ('a' = 'b'\n c)", "'c': extra input 'c'", 2, 1),
        ("CREATE DATABASE d FOO", "'FOO': extra input 'FOO'", 1, 18),
        ("DELETE FROM t a b", "'b': extra input 'b'", 1, 16),
    ],
    "a word is missing": [
        ("TRUNCATE t", "'t': missing 'TABLE'", 1, 9),
        ("COMMENT ON TABLE t 'x'", "''x'': missing 'IS'", 1, 19),
        ("DELETE t", "'t': missing 'FROM'", 1, 7),
        ("UPDATE t SET a 1", "'1': missing EQ", 1, 15),
        ("CREATE TABLE t (a INT NOT)", "')': missing 'NULL'", 1, 25),
        ("CREATE TABLE t (a INT) TBLPROPERTIES x", "'x': missing '('", 1, 37),
        ("CREATE TABLE t (a INT) PARTITIONED (a)", "'(': missing 'BY'", 1, 35),
        ("CREATE TEMPORARY VIEW v USING csv OPTIONS x", "'x': missing '('", 1, 42),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK a > 1", "'a': missing '('", 1, 37),
    ],
    "a query": [
        ("SELEC 1", "'SELEC'", 1, 0),
        ("SELECT 1 +", "end of input", 1, 10),
        ("SELECT a b c FROM t", "'c'", 1, 11),
        ("SELECT 'é' AS a,\n 1\n FRM x y z", "'x'", 3, 5),
        ("SELECT 'abc", "'''", 1, 7),
        ("SELECT a AS `b", "'`'", 1, 12),
        ("SELECT * FROM (SELECT a FROM range(1) t WHERE) x WHERE b = ", "')'", 1, 45),
        ("EXPLAIN SELEC 1", "'SELEC'", 1, 8),
        ("SHOW", "end of input", 1, 4),
        ("DROP", "end of input", 1, 4),
    ],
    "a stream": [
        ("SELECT * FROM STREAM t\nWATERMARK ts", "end of input", 2, 12),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY", "end of input", 1, 41),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF '1 minute'", "''1 minute'': missing 'INTERVAL'", 1, 45),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL", "end of input", 1, 53),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL 10", "end of input", 1, 56),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL '10 minutes'", "end of input", 1, 66),
        ("SELECT * FROM STREAM t WITH ('a' = )", "')'", 1, 35),
        ("SELECT * FROM STREAM t WITH (a = 1", "end of input", 1, 34),
        ("SELECT * FROM STREAM(t", "end of input", 1, 22),
        ("SELECT * FROM STREAM(t x)", "'x'", 1, 23),
    ],
}


@pytest.mark.parametrize("kind", CASES)
def test_statements(spark: SparkSession, kind: str) -> None:
    for text, near, line, position in CASES[kind]:
        with pytest.raises(ParseException) as caught:
            spark.sql(text).collect()
        assert said(caught.value) == syntax_error(text.rstrip("\n"), near, line, position)
        assert caught.value.getCondition() == "PARSE_SYNTAX_ERROR"
        parameters = caught.value.getMessageParameters()
        assert parameters is not None
        assert parameters["error"] + parameters["hint"] == near


def test_other_refusals_of_the_parser(spark: SparkSession) -> None:
    for text, condition, message in [
        ("", "PARSE_EMPTY_STATEMENT", "42617 (line 1, pos 0)\n\n== SQL ==\n\n^^^\n"),
        (" ", "PARSE_EMPTY_STATEMENT", "42617 (line 1, pos 1)\n\n== SQL ==\n \n-^^^\n"),
        (
            "MERGE INTO t USING s ON t.a = s.a",
            "MERGE_WITHOUT_WHEN",
            "42601\n== SQL (line 1, position 1) ==\nMERGE INTO t USING s ON t.a = s.a\n" + "^" * 33 + "\n",
        ),
        (
            "MERGE INTO t USING s ON a=b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (1)",
            "MERGE_INSERT_VALUE_COUNT_MISMATCH",
            "The number of provided values (1) must match the number of expected columns (2)",
        ),
        (
            "ALTER TABLE t SET TBLPROPERTIES (a, b = 'c', d)",
            "_LEGACY_ERROR_TEMP_0035",
            "Operation not allowed: Values must be specified for key(s): [a,d].\n== SQL (line 1, position 1) ==\n",
        ),
        (
            "CREATE TABLE t (a INT) USING parquet OPTIONS (a)",
            "_LEGACY_ERROR_TEMP_0035",
            "Operation not allowed: A value must be specified for the key: a..\n",
        ),
    ]:
        with pytest.raises(ParseException) as caught:
            spark.sql(text).collect()
        assert caught.value.getCondition() == condition
        assert message in said(caught.value)


def test_names_in_calls(spark: SparkSession) -> None:
    for name, near, position in [
        ("a b", "'b': extra input 'b'", 2),
        ("a..b", "'.'", 1),
        ("a.", "'.': extra input '.'", 1),
        ("-", "'-'", 0),
    ]:
        with pytest.raises(ParseException) as caught:
            spark.catalog.refreshTable(name)
        assert said(caught.value) == syntax_error(name, near, 1, position)
