"""Functions on BINARY: what is text in Spark is text here, and what is BINARY stays it."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import rows

TEXT = {
    "concat(b, 'a')": "é€aba",
    "'a' || b || c": "aé€abéb",
    "concat(b, c, 'x', d)": "é€abébxab",
    "concat_ws(',', b, 'a', c)": "é€ab,a,éb",
    "repeat(c, 2)": "ébéb",
    "lpad(b, 6, 'z')": "zzé€ab",
    "right(b, 2)": "ab",
    "array_join(array(b, c), '-')": "é€ab-éb",
    "elt(2, 'x', c)": "éb",
    "upper(c)": "ÉB",
    "substring_index(b, 'a', 1)": "é€",
}
BYTES = {
    "concat(b, c)": "C3A9E282AC6162C3A962",
    "concat(n, c)": "FFFEC3A962",
    "b || n": "C3A9E282AC6162FFFE",
    "lpad(n, 5, d)": "616261FFFE",
    "rpad(n, 5, d)": "FFFE616261",
    "lpad(d, 4)": "00006162",
    "lpad(b, 2)": "C3A9",
    "rpad(d, 0)": "",
    "overlay(b, d, 2)": "C36162" + "82AC6162",
    "overlay(b PLACING n FROM 1 FOR 0)": "FFFEC3A9E282AC6162",
    "overlay(b, n, 3, 1)": "C3A9FFFE82AC6162",
    "nvl(n, 'x')": "FFFE",
    "coalesce(n, d)": "FFFE",
    "elt(2, d, n)": "FFFE",
    "lpad(null, 3, d)": None,
}  # fmt: skip


@pytest.fixture
def given(spark: SparkSession) -> DataFrame:
    """`b`, `c`, `d`: text in UTF-8; `n`: bytes that are none."""
    row: tuple[Any, ...] = ("é€ab".encode(), "éb".encode(), b"ab", b"\xff\xfe")
    return spark.createDataFrame([row], "b binary, c binary, d binary, n binary")


def test_text_of_binary(given: DataFrame) -> None:
    found = given.selectExpr(*TEXT, *(f"typeof({text})" for text in TEXT))
    assert list(found.first() or ()) == [*TEXT.values(), *["string"] * len(TEXT)]
    message = given.select(F.concat("b", F.lit("a")), F.concat_ws("-", "c", "d"), F.repeat("d", 2))
    assert rows(message) == [("é€aba", "éb-ab", "abab")]


def test_binary_of_binary(given: DataFrame) -> None:
    found = given.selectExpr(*(f"hex({text})" for text in BYTES))
    assert list(found.first() or ()) == list(BYTES.values())
    types = given.selectExpr(*(f"typeof({text})" for text in BYTES if not text.startswith("lpad(null")))
    assert set(types.first() or ()) == {"binary"}


@pytest.mark.riacho_only
def test_bytes_that_are_no_text(given: DataFrame) -> None:
    """As `CAST(n AS STRING)`, or refused: no answer with the bytes left out."""
    shown = given.selectExpr("concat(n, 'a')", "'a' || n", "concat_ws(',', n, 'a')", "repeat(n, 1)", "lpad(n, 3, '-')")
    assert rows(shown) == [("��a", "a��", "��,a", "��", "-��")]
    for text in ("instr(n, 'b')", "split(n, 'a')", "array_join(array(n), '')", "replace(n, 'a', 'b')", "trim(n)"):
        with pytest.raises(PySparkException):
            given.selectExpr(text).collect()
