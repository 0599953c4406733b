"""Every case that Apache Spark answered: riacho must give the same rows, the same schema, the same kind of error.

`oracle/record.py` asks Spark; the answers are kept in `oracle/expected/`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from riacho import types
from riacho.errors import SparkError
from riacho.options import Options
from riacho.server.formats.base import DecoderContext
from riacho.server.streaming.sources.file_formats import FORMATS
from tests.unit.server.formats.oracle import (
    avro_cases,
    csv_cases,
    json_cases,
    orc_cases,
    parquet_cases,
    text_cases,
    xml_cases,
)
from tests.unit.server.formats.oracle.case import EXPECTED, RECORDED_DAY, Case, plain_rows

CASES = {
    "json": json_cases.CASES,
    "csv": csv_cases.CASES,
    "text": text_cases.CASES,
    "parquet": parquet_cases.CASES,
    "orc": orc_cases.CASES,
    "xml": xml_cases.CASES,
    "avro": avro_cases.CASES,
}

_NUMBERS = {
    "boolean", "tinyint", "smallint", "int", "bigint", "float", "double",
    "decimal_5_2_", "decimal_12_2_", "decimal_30_4_", "decimal_10_0_",
}  # fmt: skip
_DECIMALS = {name for name in _NUMBERS if name.startswith("decimal")}
_REFUSED_IN_ORC: dict[str, set[str]] = {
    "float": {*_DECIMALS, "string", "timestamp", "timestamp_ntz"},
    "double": {*_DECIMALS, "string", "timestamp", "timestamp_ntz"},
    "decimal_5_2": {"boolean", "string", "timestamp", "timestamp_ntz"},
    "decimal_25_2": {"boolean", "string", "timestamp", "timestamp_ntz"},
    "string": {*_NUMBERS, "date", "timestamp", "timestamp_ntz"},
    "binary": {"string"},
    "timestamp": {*_NUMBERS, "string"},
    "timestamp_ns": {*_NUMBERS, "string"},
    "instant": {*_NUMBERS, "string"},
    "map": {"map_bigint__string_"},
    "map_int": {"map_string__int_", "map_string__bigint_"},
}
"""Which ORC types riacho refuses to read as which others, that Spark converts."""

_REFUSED_IN_AVRO: dict[str, set[str]] = {
    "long": {"date"},
    "timestamp_millis": {"bigint", "date"},
    "timestamp_micros": {"bigint", "date"},
    "local_millis": {"bigint", "date"},
    "local_micros": {"bigint", "date"},
    "time_micros": {"bigint", "date"},
    "decimal": {"binary"},
    "decimal_fixed": {"binary"},
}
"""Which Avro types riacho refuses to read as which others, that Spark reads as they are kept in the file."""

# Where riacho differs from Spark, and why. A case that starts to agree fails, so that this list stays true.
DIFFERENT = {
    ("json", "values_binary"): "Jackson skips a bad escape inside base64 and keeps the record's other fields",
    ("json", "invalid_utf8"): "bytes that are no UTF-8 spoil the whole record; Jackson sometimes finds its way back",
    ("csv", "invalid_utf8"): "a surrogate encoded in three bytes becomes three U+FFFD, in Java one",
    ("csv", "utf16"): "Spark looks for line ends byte by byte, also in UTF-16",
    (
        "csv",
        "format_9_timestamp_ntz",
    ): "Spark takes names of week days for TIMESTAMP and DATE, but not for TIMESTAMP_NTZ",
    ("parquet", "uint32_as_double"): "Spark reads unsigned numbers beyond 2^31 as negative ones; riacho refuses",
    ("parquet", "decimal_5_2_as_binary"): "the bytes of a decimal are of no use",
    ("parquet", "decimal_15_2_as_binary"): "the bytes of a decimal are of no use",
    ("parquet", "decimal_25_2_as_binary"): "the bytes of a decimal are of no use",
    ("parquet", "time_as_bigint"): "the type TIME is not known",
    ("parquet", "infer_time"): "the type TIME is not known; Spark has it, switched off",
    ("parquet", "infer_timestamp_ns"): "nanoseconds are cut to microseconds; Spark refuses the file",
    ("parquet", "infer_ntz_ns"): "nanoseconds are cut to microseconds; Spark refuses the file",
    ("parquet", "timestamp_ns_as_timestamp"): "nanoseconds are cut to microseconds; Spark refuses the file",
    ("parquet", "timestamp_ns_as_timestamp_ntz"): "nanoseconds are cut to microseconds; Spark refuses the file",
    ("parquet", "ntz_ns_as_timestamp"): "nanoseconds are cut to microseconds; Spark refuses the file",
    ("parquet", "ntz_ns_as_timestamp_ntz"): "nanoseconds are cut to microseconds; Spark refuses the file",
    **{
        ("avro", f"{source}_as_{target}"): "a conversion that riacho refuses"
        for source, targets in _REFUSED_IN_AVRO.items()
        for target in targets
    },
    ("xml", "mixed_int"): "text that does not fit the row's own text column spoils the row, in Spark the file",
    **{
        ("xml", f"attributes_{kind}"): "an attribute that does not fit its column spoils the row, in Spark the file"
        for kind in ("boolean", "int", "double", "decimal_5_2_", "date", "timestamp")
    },
    ("xml", "mistake_in_row_text"): "riacho reads the rows behind it",
    ("xml", "latin1"): "the charset that was asked for is used; Spark fails",
    ("xml", "latin1_undeclared"): "bytes that are no UTF-8 spoil their row, in Spark the file",
    **{
        ("orc", f"{source}_as_{target}"): "a conversion that riacho refuses"
        for source, targets in _REFUSED_IN_ORC.items()
        for target in targets
    },
}


def riachos_answer(form: str, case: Case, expected: dict[str, Any], folder: Path, day: int) -> dict[str, Any]:
    """What riacho makes of a case on that day, in the form of Spark's answers."""
    path = folder / f"{case.name}.{form}{case.suffix}"
    path.write_bytes(case.content)
    found: dict[str, Any] = {}
    try:
        options = Options.check(form, FORMATS[form].table, case.options)
        if case.schema is None:
            schema = FORMATS[form].infer([str(path)], options)
        else:
            schema = types.from_json(json.dumps(expected["schema"]))
        found["schema"] = json.loads(types.to_json(schema))
        decoder = FORMATS[form].decoder(schema, options, DecoderContext(today=lambda: day))
        found["rows"] = plain_rows(pa.Table.from_batches(decoder.decode(str(path)), schema))
    except SparkError as error:
        found["error"] = [error.condition]
    return found


CONDITION = re.compile(r"[A-Z][A-Z0-9_.]+")


def agree(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    if "error" not in expected or "error" not in found:
        return found == expected
    condition = expected["error"][0]
    # Where a struct is read as something else, Spark stumbles inside its reader and cannot say why; riacho says it.
    return not CONDITION.fullmatch(condition) or family(found["error"][0]) == family(condition)


def family(condition: str) -> str:
    """`FAILED_READ_FILE.NO_HINT` → `FAILED_READ_FILE`."""
    return condition.split(".", maxsplit=1)[0]


# Schemas that Spark's analysis refuses, so there are neither rows nor a schema to compare.
REFUSED_SCHEMAS = {
    ("csv", "array_type"): pa.schema([("a", pa.list_(pa.int32()))]),
    ("text", "not_string"): pa.schema([("a", pa.int32())]),
    ("text", "two_columns"): pa.schema([("a", pa.string()), ("b", pa.string())]),
}


def parameters() -> list[Any]:
    return [
        pytest.param(form, case, id=f"{form}-{case.name}")
        for form, cases in CASES.items()
        for case in cases
        if (form, case.name) not in REFUSED_SCHEMAS
    ]


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    return {form: json.loads((EXPECTED / f"{form}.json").read_text()) for form in CASES}


@pytest.mark.parametrize(("form", "case"), parameters())
def test_riacho_reads_as_spark_does(form: str, case: Case, answers: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    expected = answers[form][case.name]
    found = riachos_answer(form, case, expected, tmp_path, answers[form][RECORDED_DAY]["day"])
    if (form, case.name) in DIFFERENT:
        assert not agree(found, expected), "no longer different: take it off the list"
    else:
        assert agree(found, expected), (found, expected)


@pytest.mark.parametrize(("form", "name"), REFUSED_SCHEMAS)
def test_schemas_that_no_reader_takes(form: str, name: str, answers: dict[str, dict[str, Any]]) -> None:
    expected = answers[form][name]["error"][0]
    with pytest.raises(SparkError) as raised:
        FORMATS[form].decoder(
            REFUSED_SCHEMAS[form, name], Options.check(form, FORMATS[form].table, {}), DecoderContext()
        )
    assert expected in {raised.value.condition, raised.value.message}


def test_all_differences_are_cases() -> None:
    names = {(form, case.name) for form, cases in CASES.items() for case in cases}
    assert names >= DIFFERENT.keys()
