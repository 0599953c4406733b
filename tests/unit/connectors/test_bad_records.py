from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark import cloudpickle

from riacho.connectors.bad_records import OPTIONS, BadRecords, identity, located, write
from riacho.connectors.names import BAD_DATA_LOCATION
from riacho.errors import IllegalArgumentError, SparkRuntimeError
from riacho.options import Options


def made(**given: str) -> BadRecords:
    options = Options.check("orders reader", OPTIONS, given)
    return BadRecords.of(options, given, format="orders", source="orders/1", replay={"format": "json"})


def set_aside(records: BadRecords, numbers: range) -> None:
    with records.collecting() as letters:
        for number in numbers:
            letters.add(f"raw {number}".encode(), f"{number:06}", ValueError("no number"))


def kept(table: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DeltaTable(table).to_pyarrow_table().to_pylist()
    return rows


def test_a_bad_record_fails_the_query_unless_something_else_is_asked_for() -> None:
    with pytest.raises(SparkRuntimeError, match=r"orders/1 cannot be read: no number \(position 000007: 'raw 7'\)"):
        set_aside(made(), range(7, 9))


def test_skipped_records_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        set_aside(made(bad_data="SKIP"), range(3))
    assert [record.getMessage() for record in caplog.records] == [
        "orders/1: a record is skipped: no number (position 000000)",
        "orders/1: 3 records were skipped",
    ]


def test_letters_are_written_once_however_often_their_partition_is_read(tmp_path: Path) -> None:
    # As a reader travels to the workers.
    asked = made(bad_data="dead_letter", bad_data_path=str(tmp_path / "t"))
    records = cloudpickle.loads(cloudpickle.dumps(asked))  # type: ignore[no-untyped-call]
    set_aside(records, range(10))
    set_aside(records, range(10))
    set_aside(records, range(5, 15))  # a repeated batch may be cut into other partitions
    rows = sorted(kept(tmp_path / "t"), key=lambda row: str(row["position"]))
    assert [row["position"] for row in rows] == [f"{number:06}" for number in range(15)]
    first = rows[0]
    assert (first["source"], first["raw"], first["reason"]) == ("orders/1", b"raw 0", "no number")
    assert (first["exception"], first["format"], json.loads(first["options"])) == (
        "ValueError",
        "orders",
        {"format": "json"},
    )
    assert first["id"] == identity("orders/1", "000000", b"raw 0")
    assert first["replay"] is first["replayed"] is None


def test_writers_at_the_same_time_write_each_letter_once(tmp_path: Path) -> None:
    records = made(bad_data="dead_letter", bad_data_path=f"file:{tmp_path}/t")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda turn: set_aside(records, range(turn // 2 * 20, turn // 2 * 20 + 20)), range(6)))
    assert len(kept(tmp_path / "t")) == len({row["id"] for row in kept(tmp_path / "t")}) == 60


def test_letters_of_a_read_that_is_cut_off_by_a_limit_are_kept(tmp_path: Path) -> None:
    records = made(bad_data="dead_letter", bad_data_path=str(tmp_path / "t"))

    def rows() -> Iterator[int]:
        with records.collecting() as letters:
            letters.add(b"x", "0", "not a row")
            yield 1
            yield 2

    reading = rows()
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert [(row["reason"], row["exception"]) for row in kept(tmp_path / "t")] == [("not a row", None)]


def test_a_read_that_fails_for_another_reason_raises_that(tmp_path: Path) -> None:
    records = made(bad_data="dead_letter", bad_data_path=str(tmp_path / "t"))

    def read() -> None:
        with records.collecting() as letters:
            letters.add(b"x", "0", "not a row")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
    assert not (tmp_path / "t").exists()


def test_where_the_table_lies(tmp_path: Path) -> None:
    told = {BAD_DATA_LOCATION: str(tmp_path)}
    assert made(bad_data="dead_letter", bad_data_table="t", **told).location == str(tmp_path)
    assert located("s3a://bucket/letters") == "s3://bucket/letters"
    with pytest.raises(IllegalArgumentError, match="only riacho's own server"):
        made(bad_data="dead_letter", bad_data_table="t")
    with pytest.raises(IllegalArgumentError, match="give bad_data_table or bad_data_path$"):
        made(bad_data="dead_letter")
    with pytest.raises(IllegalArgumentError, match="not both"):
        made(bad_data="dead_letter", bad_data_table="t", bad_data_path="/p")
    with pytest.raises(IllegalArgumentError, match="must be fail, skip or dead_letter"):
        made(bad_data="ignore")


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a file is in the way")
    with pytest.raises(SparkRuntimeError, match=f"dead letters at {tmp_path}/t cannot be written"):
        write(str(tmp_path / "t"), [{"id": "1", "source": "s", "position": "0", "raw": b""}])


def test_a_table_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"id": ["1"], "source": ["s"]}))
    with pytest.raises(SparkRuntimeError, match=f"{tmp_path}/t is a table, and none of dead letters: it has no batch"):
        write(str(tmp_path / "t"), [{"id": "1", "source": "s", "position": "0", "raw": b""}])
    assert DeltaTable(str(tmp_path / "t")).version() == 0
