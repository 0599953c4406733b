"""Streams of files decode like Spark's batch readers: the cases that Spark answered once, read as streams on both.

The cases and the answers are those of the unit tests (`tests/unit/streaming/sources/formats/oracle`), where there are
many more; these go the whole way, from a file through a query to its rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.spec.support import finish
from tests.unit.server.formats.oracle import csv_cases, json_cases, parquet_cases, text_cases
from tests.unit.server.formats.oracle.case import EXPECTED, Case, plain_rows

CASES = {"json": json_cases, "csv": csv_cases, "parquet": parquet_cases, "text": text_cases}

CHOSEN = {
    "json": [
        "records", "records_dropmalformed", "records_comments", "values_int", "values_double", "values_string",
        "values_decimal_5_2_", "values_struct_x__int__y__string_", "values_array_struct_x__int__", "times_date_format",
        "times_timestamp_ntz", "times_timestamp_format_zone", "crlf", "bom", "line_sep", "gzip", "multiline_array",
        "latin1",
    ],
    "csv": [
        "lines", "lines_drop", "lines_escape_quote", "lines_trim", "lines_comment", "lines_null_value", "header",
        "values_double", "values_bigint", "format_5_timestamp", "quoted_newline_multiline", "crlf",
    ],
    "parquet": [
        "int_as_bigint", "int_as_smallint", "float_as_double", "decimal_5_2_as_decimal_12_2_", "date_as_timestamp_ntz",
        "timestamp_ms_as_timestamp", "int96_as_timestamp", "array_int_as_array_bigint_", "missing_column", "other_case",
        "struct_as_struct_y__string__x__bigint__w__date_",
    ],
    "text": ["lines", "bom", "line_sep", "whole", "other_name"],
}  # fmt: skip


def parameters() -> list[Any]:
    found = {(form, case.name): case for form, module in CASES.items() for case in module.CASES}
    return [pytest.param(form, found[form, name], id=f"{form}-{name}") for form in CHOSEN for name in CHOSEN[form]]


@pytest.mark.parametrize(("form", "case"), parameters())
def test_a_stream_reads_what_a_batch_reads(spark: SparkSession, tmp_path: Path, form: str, case: Case) -> None:
    (tmp_path / f"file.{form}{case.suffix}").write_bytes(case.content)
    assert case.schema is not None
    stream = spark.readStream.format(form).options(**case.options).schema(case.schema).load(str(tmp_path))
    finish(stream.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())
    expected = json.loads((EXPECTED / f"{form}.json").read_text())[case.name]["rows"]
    assert sorted(plain_rows(spark.table("seen").toArrow()), key=repr) == sorted(expected, key=repr)
