"""`from_json`: numbers that do not fit are null, and what would be null in silence is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException, UnsupportedOperationException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructType

from tests.spec.support import finish

ANSWERS: list[tuple[str, Any]] = [
    ("""from_json('{"a": 3000000000, "b": "z"}', 'a INT, b STRING')""", Row(a=None, b="z")),
    ("""from_json('{"a": 300}', 'a TINYINT')""", Row(a=None)),
    ("""from_json('{"a": {"b": 70000}}', 'a STRUCT<b: SMALLINT>')""", Row(a=Row(b=None))),
    ("""from_json('{"int": 1, "b": [{"c": 5}]}', 'int INT, b ARRAY<STRUCT<c: TINYINT>>')""", Row(int=1, b=[Row(c=5)])),
    ("""from_json('[1, 2]', 'ARRAY<INT>')""", [1, 2]),
    ("""from_json('{"a": 1}', 'a INT NOT NULL COMMENT "one"').a + 1""", 2),
    ("""from_json('', 'a STRING')""", None),
    ("""from_json(' ', 'a INT')""", None),
    ("""from_json('{"a": "2024/01/02"}', 'a DATE', map('dateFormat', 'yyyy/MM/dd')).a""", date(2024, 1, 2)),
    ("""from_json('{"a"', 'a INT', map('mode', 'PERMISSIVE'))""", Row(a=None)),
]
REFUSED = [
    ("""from_json('{"a"', 'a INT', map('mode', 'FAILFAST'))""", "FAILFAST"),
    ("""from_json('{"a"', 'a INT, _corrupt_record STRING')""", "_corrupt_record"),
    ("""from_json('{"a"', 'a INT, c STRING', map('columnNameOfCorruptRecord', 'c'))""", "corrupt records, 'c'"),
    ("""from_json('{a: 1}', 'a INT', map('allowUnquotedFieldNames', 'true'))""", "allowunquotedfieldnames"),
    ("""from_csv('1,x', 'a INT', map('mode', 'FAILFAST'))""", "FAILFAST"),
]


def test_what_is_read(spark: SparkSession) -> None:
    for sql, expected in ANSWERS:
        [found] = spark.sql(f"SELECT {sql} AS x").collect()
        assert (sql, found.x) == (sql, expected)
        assert spark.range(1).select(F.expr(sql).alias("x")).collect() == [found], sql


def test_with_a_schema_of_types(spark: SparkSession) -> None:
    schema = StructType().add("a", IntegerType()).add("b", StringType())
    frame = spark.createDataFrame([('{"a": 5000000000, "b": "z"}',)], "j STRING")
    assert frame.select(F.from_json("j", schema)).columns == ["from_json(j)"]
    assert frame.select(F.from_json("j", schema).alias("x")).collect() == [(Row(a=None, b="z"),)]


@pytest.mark.riacho_only
@pytest.mark.parametrize(("sql", "match"), REFUSED)
def test_what_is_refused(spark: SparkSession, sql: str, match: str) -> None:
    with pytest.raises(UnsupportedOperationException, match=match):
        spark.range(1).selectExpr(f"{sql} AS x").collect()
    with pytest.raises(UnsupportedOperationException, match=match):
        spark.sql(f"SELECT {sql}").collect()


def test_a_mode_that_neither_has(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as raised:
        spark.sql("SELECT from_json('{', 'a INT', map('mode', 'DROPMALFORMED'))").collect()
    assert raised.value.getCondition() == "PARSE_MODE_UNSUPPORTED"


def test_of_a_stream(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("""SELECT '{"a": 3000000000, "b": 7}' AS j""").write.format("delta").save(str(tmp_path / "in"))
    stream = spark.readStream.format("delta").load(str(tmp_path / "in"))
    read = stream.select(F.from_json("j", "a INT, b TINYINT").alias("x")).select("x.*")
    finish(read.writeStream.queryName("read").format("memory").trigger(availableNow=True).start())
    assert spark.table("read").collect() == [(None, 7)]


@pytest.mark.riacho_only
def test_a_stream_is_refused_at_its_start(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("SELECT '{' AS j").write.format("delta").save(str(tmp_path / "in"))
    stream = spark.readStream.format("delta").load(str(tmp_path / "in"))
    read = stream.select(F.from_json("j", "a INT", {"mode": "FAILFAST"}).alias("x"))
    with pytest.raises(PySparkException, match="FAILFAST"):
        read.writeStream.queryName("refused").format("memory").trigger(availableNow=True).start()
