"""Records that do not fit the schema: kept, dropped or fatal, as the reader's mode says."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import files, finish, rows, write_text

JSON = '{"id": 1, "name": "Ana"}\n{"id": 2, "name": \n{"id": "x", "name": "Bia"}\n{"id": 3, "name": "Caio"}\n'
CSV = "1,Ana\n2\nx,Bia\n3,Caio,more\n4,Davi\n"
SCHEMA = "id INT, name STRING"
WITH_CORRUPT = f"{SCHEMA}, _corrupt_record STRING"


def read(spark: SparkSession, stream: DataFrame) -> list[tuple[object, ...]]:
    finish(stream.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())
    return rows(spark.table("seen"))


def test_permissive_json_keeps_what_fits_and_the_record(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    assert read(spark, files(spark, tmp_path, WITH_CORRUPT)) == [
        (1, "Ana", None),
        (3, "Caio", None),
        (None, "Bia", '{"id": "x", "name": "Bia"}'),
        (None, None, '{"id": 2, "name": '),
    ]


def test_permissive_json_without_the_column_keeps_what_fits(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    expected = [(1, "Ana"), (3, "Caio"), (None, "Bia"), (None, None)]
    assert read(spark, files(spark, tmp_path, SCHEMA)) == expected


def test_the_column_for_corrupt_records_can_have_another_name(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", '{"id": \n')
    stream = files(spark, tmp_path, "id INT, bad STRING", columnNameOfCorruptRecord="bad")
    assert read(spark, stream) == [(None, '{"id": ')]


def test_drop_malformed_json(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    assert read(spark, files(spark, tmp_path, SCHEMA, mode="DROPMALFORMED")) == [(1, "Ana"), (3, "Caio")]


def test_failfast_json(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    with pytest.raises(StreamingQueryException, match=r"FAILED_READ_FILE.*1\.json"):
        read(spark, files(spark, tmp_path, SCHEMA, mode="FAILFAST"))


def test_permissive_csv_fills_short_rows_cuts_long_ones_and_keeps_the_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_text(tmp_path / "1.csv", CSV)
    assert read(spark, files(spark, tmp_path, WITH_CORRUPT, "csv")) == [
        (1, "Ana", None),
        (2, None, "2"),
        (3, "Caio", "3,Caio,more"),
        (4, "Davi", None),
        (None, "Bia", "x,Bia"),
    ]


def test_drop_malformed_csv(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", CSV)
    assert read(spark, files(spark, tmp_path, SCHEMA, "csv", mode="DROPMALFORMED")) == [(1, "Ana"), (4, "Davi")]


def test_failfast_csv(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", CSV)
    with pytest.raises(StreamingQueryException, match=r"FAILED_READ_FILE.*1\.csv"):
        read(spark, files(spark, tmp_path, SCHEMA, "csv", mode="FAILFAST"))


def test_a_number_that_does_not_fit_its_type_is_corrupt(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", '{"id": 3000000000}\n{"id": 1.5}\n{"id": true}\n')
    stream = files(spark, tmp_path, "id INT, _corrupt_record STRING")
    assert read(spark, stream) == [(None, '{"id": 1.5}'), (None, '{"id": 3000000000}'), (None, '{"id": true}')]


def test_timestamps_and_dates_in_json(spark: SparkSession, tmp_path: Path) -> None:
    lines = ['{"t": "2024-01-01T10:00:00Z", "d": "2024-01-01"}', '{"t": "soon", "d": "2024-02-30"}']
    write_text(tmp_path / "1.json", "\n".join(lines))
    stream = files(spark, tmp_path, "t TIMESTAMP, d DATE, _corrupt_record STRING")
    read(spark, stream.selectExpr("CAST(t AS STRING)", "CAST(d AS STRING)", "_corrupt_record"))
    assert rows(spark.table("seen")) == [("2024-01-01 10:00:00", "2024-01-01", None), (None, None, lines[1])]


def test_a_broken_parquet_file_stops_the_query(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    with pytest.raises(StreamingQueryException, match=r"1\.parquet"):
        read(spark, files(spark, tmp_path, SCHEMA, "parquet"))


def test_a_broken_parquet_file_is_left_out_if_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "name": ["Ana"]}), tmp_path / "2.parquet")
    assert read(spark, files(spark, tmp_path, SCHEMA, "parquet", ignoreCorruptFiles=True)) == [(1, "Ana")]


def test_a_parquet_column_of_another_type_stops_the_query(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["one"], "name": ["Ana"]}), tmp_path / "1.parquet")
    with pytest.raises(StreamingQueryException, match="PARQUET_COLUMN_DATA_TYPE_MISMATCH"):
        read(spark, files(spark, tmp_path, SCHEMA, "parquet"))


EVENTS = (
    "id INT, at TIMESTAMP, amount DECIMAL(38,18), price DECIMAL(6,2), value DOUBLE, text STRING, _corrupt_record STRING"
)
ODD = (
    '{"id": 1, "at": "2018-11-04T00:30:00", "price": 1.005}',
    '{"id": 2, "at": "2018-02-17T23:30:00", "price": 9999.995}',
    '{"id": 3, "at": "2024-01-02T03:04:05.123456789Z", "value": NaN}',
    '{"id": 4, "at": "2024-01-02 03:04", "value": -0, "text": {"a": [1.50, "x"]}}',
    '{"id": 5, "at": 1704067200, "amount": 9e37}',
    '{"id": 6, "amount": 12345678901234567890.5, "text": 1.50}',
    '{"id": 7, "unknown": -NaN}',
    '{"id": 8.0, "text": "ten"}',
    '{"id": "9", "value": "NaN"}',
    '{"id": 10, "text": ["a", {"b": null}], "value": 1e400}',
    '{"id": 11, "unknown": "\\ud83d", "text": "\\ud83d\\ude00"}',
    '{"id": 12, "at": "12-01-2024"}',
    '{"id": 13, "id": 14}',
)


def test_odd_records_among_many_good_ones_are_read_as_if_they_were_alone(spark: SparkSession, tmp_path: Path) -> None:
    """Times in two forms, where clocks change; decimals with too many digits; words for numbers; values as text."""
    good = '{"id": 0, "at": "2024-01-02T03:04:05Z", "text": "plain", "price": 1.25, "value": 2}'
    write_text(tmp_path / "1.json", "".join(f"{good}\n{odd}\n{good}\n" for odd in ODD))
    stream = files(spark, tmp_path, EVENTS, timeZone="America/Sao_Paulo")
    fields = ["id", "unix_micros(at)", "string(amount)", "string(price)", "if(isnan(value), -1, value)", "text"]
    found = read(spark, stream.where("coalesce(id, -1) <> 0").selectExpr(*fields, "_corrupt_record"))
    assert found == [
        (1, 1_541_302_200_000_000, None, "1.01", None, None, None),
        (10, None, None, None, float("inf"), '["a", {"b": null}]', None),
        (11, None, None, None, None, "\U0001f600", None),
        (12, None, None, None, None, None, ODD[11]),
        (14, None, None, None, None, None, None),
        (2, 1_518_917_400_000_000, None, None, None, None, ODD[1]),
        (3, 1_704_164_645_123_456, None, None, -1, None, None),
        (4, 1_704_175_440_000_000, None, None, 0, '{"a": [1.50, "x"]}', None),
        (5, 1_704_067_200_000_000, None, None, None, None, ODD[4]),
        (6, None, "12345678901234567890.500000000000000000", None, None, "1.50", None),
        (None, None, None, None, -1, None, ODD[8]),
        (None, None, None, None, None, "ten", ODD[7]),
        (None, None, None, None, None, None, ODD[6]),
    ]
