"""Doubles as decimals, doubles rounded, and texts with exponents as decimals.

Spark takes a double as the number that its shortest text is, and rounds half up.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.errors import ArithmeticException, NumberFormatException
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from tests.spec.support import finish, write_json

TIES = [1.005, -1.005, 2.675, 1.015, 0.285, -0.004, -0.0, 332.11776, 123456789012.345, 1e-7, 2.5]


def _decimals(texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts.split()]


def test_a_double_becomes_the_decimal_that_its_text_says(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(number, value) for number, value in enumerate(TIES)], "id INT, d DOUBLE")
    found = rows.orderBy("id").select(
        F.col("d").cast("decimal(20, 2)").alias("two"),
        F.expr("try_cast(d AS DECIMAL(28, 14))").alias("many"),
        F.expr("d::DECIMAL(38, 0)").alias("none"),
        F.expr("CAST(d AS DECIMAL(38, 25))").alias("more"),
    )
    two, many, none, more = (list(column) for column in zip(*found.collect(), strict=True))
    assert two == _decimals("1.01 -1.01 2.68 1.02 0.29 0 0 332.12 123456789012.35 0 2.5")
    assert many == list(map(Decimal, map(repr, TIES)))
    assert none == _decimals("1 -1 3 1 0 0 0 332 123456789012 0 3")
    assert more == list(map(Decimal, map(repr, TIES)))
    [row] = spark.sql(
        "SELECT CAST(1e22D AS DECIMAL(38,2)), CAST(1.2345678901234567e25D AS DECIMAL(38,10)), -1.25e16D::DECIMAL(20), "
        "CAST(CAST(1.1 AS FLOAT) AS DECIMAL(20,10)), decimal(2.5D), CAST(x AS DECIMAL(3,1)), ceil(y, 2), floor(y, 2) "
        "FROM VALUES (CAST(NULL AS DOUBLE), 1.005D) t(x, y)"
    ).collect()
    assert list(row) == [
        Decimal("1e22"),
        Decimal(12345678901234566000000000),
        Decimal(-12500000000000000),
        Decimal("1.1000000238"),
        Decimal(3),
        None,
        Decimal("1.01"),
        Decimal("1.00"),
    ]


def test_what_is_no_number_is_null_and_what_is_too_large_an_error(spark: SparkSession) -> None:
    values = "VALUES (double('NaN')), (double('Infinity')), (double('-Infinity'))"
    for kind in ("DECIMAL(28,14)", "DECIMAL(38,0)", "DECIMAL(38,30)"):
        assert (
            spark.sql(f"SELECT CAST(d AS {kind}), TRY_CAST(d AS {kind}) FROM {values} t(d)").collect()
            == [(None, None)] * 3
        )
    for large, kind in (("99.995D", "DECIMAL(4,2)"), ("1e30D", "DECIMAL(28,14)"), ("1e38D", "DECIMAL(38,0)")):
        rows = spark.sql(f"SELECT {large} AS d")
        assert rows.selectExpr(f"try_cast(d AS {kind}) AS x").first() == (None,)
        with pytest.raises(ArithmeticException, match=r"NUMERIC_VALUE_OUT_OF_RANGE") as caught:
            rows.selectExpr(f"CAST(d AS {kind})").collect()
        assert caught.value.getCondition() == "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION"


def test_rounding_goes_by_the_text(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(number, value) for number, value in enumerate(TIES)], "id INT, d DOUBLE")
    found = rows.orderBy("id").select(F.round("d", 2), F.bround("d", 2), F.expr("round(d)"), F.expr("round(d, 12)"))
    two, even, none, many = (list(map(repr, column)) for column in zip(*found.collect(), strict=True))
    assert two == ["1.01", "-1.01", "2.68", "1.02", "0.29", "0.0", "0.0", "332.12", "123456789012.35", "0.0", "2.5"]
    assert even == ["1.0", "-1.0", "2.68", "1.02", "0.28", "0.0", "0.0", "332.12", "123456789012.34", "0.0", "2.5"]
    assert none == ["1.0", "-1.0", "3.0", "1.0", "0.0", "0.0", "0.0", "332.0", "123456789012.0", "0.0", "3.0"]
    assert many == [repr(value + 0.0) for value in TIES]
    [row] = spark.sql(
        "SELECT round(1250D, -2), bround(1250D, -2), round(-1250D, -2), round(4.5e17D, -16), round(1e300D, 2), "
        "round(1.15D, 1), round(CAST(1.15 AS FLOAT), 1), round('1.005', 2), round(1.005D, '2'), round(d, NULL), "
        "round(double('-Infinity'), 2), isnan(round(double('NaN'), 2)), round(1.005D, 400), round(1.005D, -400), "
        "transform(array(1.005D, 2.675D), x -> round(x, 2)) FROM VALUES (1.5D) t(d)"
    ).collect()
    assert list(row) == [
        1300.0, 1200.0, -1300.0, 4.5e17, 1e300, 1.2, 1.100000023841858, 1.01, 1.01, None, float("-inf"), True, 1.005,
        0.0, [1.01, 2.68],
    ]  # fmt: skip


def test_rounded_values_group_sort_join_and_aggregate(spark: SparkSession) -> None:
    values = "VALUES (1.005D, 'a'), (1.01D, 'a'), (2.675D, 'b') t(d, k)"
    found = spark.sql(f"SELECT round(d, 2) AS r, count(*) AS n FROM {values} GROUP BY round(d, 2) ORDER BY r")
    assert found.collect() == [(1.01, 2), (2.68, 1)]
    found = spark.sql(
        "SELECT CAST(d AS DECIMAL(10,2)), count(*) AS n "
        f"FROM {values} GROUP BY CAST(d AS DECIMAL(10,2)) HAVING CAST(d AS DECIMAL(10,2)) > 1 ORDER BY n"
    )
    assert found.collect() == [(Decimal("2.68"), 1), (Decimal("1.01"), 2)]
    found = spark.sql(
        f"SELECT k, round(sum(d) / 2, 2) AS h, sum(round(d, 2)) AS s, sum(CAST(d AS DECIMAL(10,2))) AS x "
        f"FROM {values} GROUP BY k ORDER BY round(sum(d) / 2, 2)"
    )
    assert [list(row) for row in found.collect()] == [
        ["a", 1.01, 2.02, Decimal("2.02")],
        ["b", 1.34, 2.68, Decimal("2.68")],
    ]
    frame = spark.sql(f"SELECT * FROM {values}")
    assert frame.groupBy(F.round("d", 2).alias("r")).count().orderBy("r").collect() == [(1.01, 2), (2.68, 1)]
    assert frame.where(F.round("d", 2) == 1.01).count() == 2
    assert frame.select(F.round(F.sum("d").over(Window.partitionBy()), 1)).distinct().collect() == [(4.7,)]
    assert frame.agg(F.round(F.avg("d"), 2)).first() == (1.56,)
    assert frame.select(F.round(F.round("d", 2) * 10, 0).alias("x")).orderBy("x").collect() == [(10,), (10,), (27,)]
    assert frame.select((F.round(F.rand() * 0 + 1.005, 2)).alias("x")).distinct().collect() == [(1.01,)]


def test_a_text_with_an_exponent_is_a_decimal(spark: SparkSession) -> None:
    given = ["3.88965e-6", "1E3", " 1.5 ", "+.5", "-1.005e0", "1.005", "1e-400", "0e400", "5.e1", "\t2e1\n", None]
    rows = spark.createDataFrame(list(enumerate(given)), "id INT, s STRING").orderBy("id")
    plain = ["0.00000388965", "1000", "1.5", "0.5", "-1.005", "1.005", "0", "0", "50", "20"]
    meant = [*map(Decimal, plain), None]
    for text in ("CAST(s AS DECIMAL(28, 14))", "TRY_CAST(s AS DECIMAL(28,14))", "s::DECIMAL(28, 14)"):
        assert [row[0] for row in rows.selectExpr(f"{text} AS x").collect()] == meant
    assert [row[0] for row in rows.select(F.col("s").cast("decimal(28,14)")).collect()] == meant
    wrong = ", ".join(f"TRY_CAST('{text}' AS DECIMAL(10,2))" for text in ("1e", "e5", "", "1e 3", "1e30", "x", "1e400"))
    assert set(spark.sql(f"SELECT {wrong}").first() or ()) == {None}
    with pytest.raises(NumberFormatException, match="CAST_INVALID_INPUT"):
        spark.sql("SELECT CAST('1e' AS DECIMAL(10,2))").collect()
    with pytest.raises(ArithmeticException, match="NUMERIC_VALUE_OUT_OF_RANGE"):
        spark.sql("SELECT CAST('1e30' AS DECIMAL(10,2))").collect()


def test_tables_streams_and_views_take_doubles_as_their_texts(spark: SparkSession, tmp_path: Path) -> None:
    name = f"doubles_{uuid4().hex[:8]}"
    spark.sql(f"CREATE TABLE {name} (id INT, x DECIMAL(28,14)) USING delta")
    try:
        spark.sql(f"INSERT INTO {name} SELECT 1, 332.11776D")
        spark.sql("SELECT 2 AS id, 1.005D AS x").write.format("delta").mode("append").saveAsTable(name)
        spark.sql(f"INSERT INTO {name} VALUES (3, 0)")
        spark.sql(f"UPDATE {name} SET x = 332.11776D WHERE id = 3")
        spark.sql(
            f"MERGE INTO {name} t USING (SELECT * FROM VALUES (2, 2.675D), (4, 0.1D) s(id, x)) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET x = s.x WHEN NOT MATCHED THEN INSERT (id, x) VALUES (s.id, s.x)"
        )
        write_json(tmp_path / "in" / "0.json", [{"id": 5, "d": 332.11776}])
        stream = spark.readStream.schema("id INT, d DOUBLE").json(str(tmp_path / "in"))
        rounded = stream.select("id", F.col("d").cast("decimal(28,14)").alias("x"), F.round("d", 4).alias("r"))
        writer = rounded.select("id", "x").writeStream.format("delta").trigger(availableNow=True)
        finish(writer.option("checkpointLocation", str(tmp_path / "c")).toTable(name))
        found = {row["id"]: row["x"] for row in spark.table(name).collect()}
        assert found == {1: Decimal("332.11776"), 2: Decimal("2.675"), 3: Decimal("332.11776"), 4: Decimal("0.1"),
                         5: Decimal("332.11776")}  # fmt: skip
        spark.sql(f"CREATE VIEW {name}_v AS SELECT round(CAST(x AS DOUBLE), 2) AS r, CAST(1.005D AS DECIMAL(5,2)) AS c "
                  f"FROM {name} WHERE id = 2")  # fmt: skip
        assert spark.table(f"{name}_v").collect() == [(2.68, Decimal("1.01"))]
        spark.sql("SELECT 1.005D AS d").select(F.round("d", 2).alias("r")).createOrReplaceTempView(f"{name}_t")
        assert spark.sql(f"SELECT r FROM {name}_t").first() == (1.01,)
    finally:
        spark.sql(f"DROP VIEW IF EXISTS {name}_v")
        spark.sql(f"DROP TABLE IF EXISTS {name}")
