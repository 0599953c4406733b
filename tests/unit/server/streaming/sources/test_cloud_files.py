"""`cloudFiles`, run by hand: what is remembered, what is rescued, what is set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedOperationError
from riacho.server.streaming.sources import cloud_files
from riacho.server.streaming.sources.base import ReadLimit
from riacho.server.streaming.sources.cloud_files import CloudFilesSource
from riacho.server.streaming.sources.schema_store import SchemaStore
from tests.unit.server.streaming.sources.reading import Run, land

TYPES = {
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DATE": pa.date32(),
    "STRING": pa.string(),
    "MAP<STRING; DECIMAL(10; 2)>": pa.map_(pa.string(), pa.decimal128(10, 2)),
}


def parse_ddl(text: str) -> pa.Schema:
    """What the engine does, for the few types that are used here; `;` stands for a comma inside of one."""
    return pa.schema([(name, TYPES[type_]) for name, type_ in (part.split(" ", 1) for part in text.split(", "))])


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def source(landing: Path, form: str = "json", schema: pa.Schema | None = None, **options: str) -> CloudFilesSource:
    given = {"cloudFiles.format": form, "cloudFiles.schemaLocation": str(landing.parent / "schemas")}
    given |= {name if "." in name else f"cloudFiles.{name}": value for name, value in options.items()}
    return cloud_files.from_read(schema, given, str(landing), parse_ddl)


def start(landing: Path, form: str = "json", schema: pa.Schema | None = None, **options: str) -> Run:
    return Run(source(landing, form, schema, **options), landing.parent / "checkpoint" / "sources" / "0")


def store(landing: Path) -> SchemaStore:
    return SchemaStore(landing.parent / "schemas")


def rescued(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["_rescued_data"])
    assert found.pop("_file_path").startswith("file:///")
    return found


def parquet(landing: Path, name: str, **columns: Any) -> None:
    pq.write_table(pa.table(columns), landing / name)


def test_the_first_schema_is_remembered(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1, "name": "Ana"}')
    assert source(landing, inferColumnTypes="true").schema.names == ["id", "name", "_rescued_data"]
    stored = store(landing).latest()
    assert stored is not None
    assert (stored.version, stored.data) == (0, pa.schema([("id", pa.int64()), ("name", pa.string())]))
    (landing / "1.json").unlink()
    assert source(landing).schema.field("id").type == pa.int64()


def test_hints_overrule_and_add(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}')
    assert source(landing, schemaHints="id INT").schema.field("id").type == pa.int32()
    assert source(landing, schemaHints="soon DATE").schema.field("soon").type == pa.date32()


@pytest.mark.parametrize("typed", ["true", "false"])
def test_hints_name_fields_inside(landing: Path, typed: str) -> None:
    land(landing, "1.json", '{"who": {"id": 7, "dob": "2024-01-02"}, "at": [1], "users": [{"id": "1", "n": 2}]}')
    hints = "who.DOB DATE, who.soon.x INT, at.element STRING, users.element.id: INT, tags MAP<STRING; DECIMAL(10; 2)>"
    found = source(landing, schemaHints=hints, inferColumnTypes=typed).schema
    number = pa.int64() if typed == "true" else pa.string()
    soon = pa.struct([("x", pa.int32())])
    assert found.field("who").type == pa.struct([("DOB", pa.date32()), ("id", number), ("soon", soon)])
    assert found.field("at").type == pa.list_(pa.field("element", pa.string()))
    users = pa.struct([("id", pa.int32()), ("n", number)])
    assert found.field("users").type == pa.list_(pa.field("element", users))
    assert found.field("tags").type == pa.map_(pa.string(), pa.decimal128(10, 2))


def test_hints_for_maps(landing: Path) -> None:
    parquet(landing, "1.parquet", tags=pa.array([{"1": 2}], pa.map_(pa.string(), pa.int32())))
    found = source(landing, "parquet", schemaHints="tags.value BIGINT, new.element INT").schema
    assert found.field("tags").type == pa.map_(pa.string(), pa.int64())
    assert found.field("new").type == pa.list_(pa.field("element", pa.int32()))


@pytest.mark.parametrize("hints", ["id.x INT", "at.item INT", "INT", "id", "id INT,, x INT"])
def test_hints_that_fit_nowhere(landing: Path, hints: str) -> None:
    land(landing, "1.json", '{"id": 1, "at": [1]}')
    with pytest.raises(IllegalArgumentError, match="schemaHints"):
        source(landing, schemaHints=hints)


def test_damaged_files_say_nothing_of_the_schema(landing: Path) -> None:
    (landing / "0.parquet").write_bytes(b"damaged")
    parquet(landing, "1.parquet", id=[1])
    assert source(landing, "parquet").schema.names == ["id", "_rescued_data"]


def test_folders_become_columns_before_rescued_data(landing: Path) -> None:
    land(landing, "day=2024-01-02/k=1/1.json", '{"id": 1}')
    assert source(landing).schema.names == ["id", "day", "k", "_rescued_data"]
    [row] = start(landing).batch() or []
    assert (row["id"], row["day"], row["k"]) == ("1", "2024-01-02", "1")


def test_folders_that_become_columns_can_be_chosen(landing: Path) -> None:
    land(landing, "day=2024-01-02/k=1/1.json", '{"id": 1}')
    assert source(landing, partitionColumns="k").schema.names == ["id", "k", "_rescued_data"]


def test_an_empty_folder_has_no_schema(landing: Path) -> None:
    with pytest.raises(AnalysisError, match="CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE"):
        source(landing)


def test_new_columns_stop_the_stream_once_and_no_row_is_lost(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}', 1)
    run = start(landing, inferColumnTypes="true")
    run.batch()
    land(landing, "2.json", '{"id": 2, "b": 1.5}', 2)
    land(landing, "3.json", '{"id": 3, "c": "x"}', 3)
    end = run.reader.latest_offset(run.offset, ReadLimit())
    assert end is not None
    with pytest.raises(SparkError, match=r"UNKNOWN_FIELD_EXCEPTION.NEW_FIELDS_IN_FILE.*\[b, c\]"):
        run.rows(end)

    again = run.restart(source(landing))
    assert again.source.schema.names == ["id", "b", "c", "_rescued_data"]
    rows = again.rows(end)
    assert [(row["id"], row["b"], row["c"]) for row in rows] == [(2, 1.5, None), (3, None, "x")]
    assert again.rows(end) == rows


def test_old_batches_read_again_have_the_new_columns_empty(landing: Path) -> None:
    parquet(landing, "1.parquet", id=[1])
    run = start(landing, "parquet")
    first = run.reader.latest_offset(None, ReadLimit())
    assert first is not None
    store(landing).add(1, pa.schema([("id", pa.int64()), ("new", pa.string())]), pa.schema([]))
    again = run.restart(source(landing, "parquet"))
    assert again.rows(first) == [{"id": 1, "new": None, "_rescued_data": None}]


def test_columns_that_differ_only_in_case_are_rescued_not_added(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}', 1)
    run = start(landing)
    land(landing, "2.json", '{"ID": 2}', 2)
    rows = run.batch() or []
    assert rescued(rows[1]) == {"ID": 2}


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_new_columns_forbidden(landing: Path, form: str) -> None:
    def write(name: str, **columns: int) -> None:
        if form == "json":
            land(landing, name, json.dumps(columns))
        else:
            parquet(landing, name, **{column: [value] for column, value in columns.items()})

    write("1", id=1)
    run = start(landing, form, schemaEvolutionMode="failOnNewColumns")
    run.batch()
    write("2", id=2, b=1)
    with pytest.raises(SparkError, match="forbids"):
        run.batch()
    stored = store(landing).latest()
    assert stored is not None
    assert stored.version == 0


def test_new_columns_ignored(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1, "b": 2}')
    run = start(landing, schema=pa.schema([("id", pa.int64())]))
    assert run.batch() == [{"id": 1}]


def test_what_does_not_fit_is_rescued_as_it_was_written(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1, "s": {"x": 1}}', 1)
    run = start(landing, inferColumnTypes="true", schemaEvolutionMode="rescue")
    land(landing, "2.json", '{"id": 1.50, "new": [1, 2], "s": {"x": 2, "y": 3}}', 2)
    land(landing, "3.json", "not json", 3)
    good, odd, bad = run.batch() or []
    assert good["_rescued_data"] is None
    assert (odd["id"], odd["s"]) == (None, {"x": 2})
    assert rescued(odd) == {"id": 1.5, "new": [1, 2], "s": {"x": 2, "y": 3}}
    assert '"id":1.50' in odd["_rescued_data"]
    assert rescued(bad) == {"_corrupt_record": "not json"}
    assert run.metrics["numRowsRescued"] == "2"


def test_a_parquet_column_of_another_type_is_rescued(landing: Path) -> None:
    parquet(landing, "1.parquet", id=[1])
    run = start(landing, "parquet")
    run.batch()
    parquet(landing, "2.parquet", id=["two", None])
    two, nothing = run.batch() or []
    assert (two["id"], rescued(two)) == (None, {"id": "two"})
    assert nothing == {"id": None, "_rescued_data": None}


def test_fields_inside_structs_are_not_lost(landing: Path) -> None:
    parquet(landing, "1.parquet", s=[{"x": 1}])
    run = start(landing, "parquet")
    run.batch()
    parquet(landing, "2.parquet", s=[{"x": 2, "y": 3}])
    [row] = run.batch() or []
    assert row["s"] == {"x": 2}
    assert rescued(row) == {"s": {"x": 2, "y": 3}}


def test_what_nobody_looks_at_is_rescued_all_the_same(landing: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("v", pa.int64())])
    land(landing, "1.json", '{"id": 1, "v": "x"}')
    log, unused = landing.parent / "log", frozenset({"v", "_rescued_data"})
    [row] = Run(source(landing, schema=schema, rescuedDataColumn="_rescued_data"), log, unused=unused).batch() or []
    assert rescued(row) == {"v": "x"}
    [row] = Run(source(landing, schema=schema), landing.parent / "other", unused=frozenset({"id"})).batch() or []
    assert row == {"id": None, "v": None}


def test_more_values_than_csv_has_columns_are_rescued(landing: Path) -> None:
    land(landing, "1.csv", "1,a\n", 1)
    given = {
        "header": "false",
        "cloudFiles.format": "csv",
        "cloudFiles.schemaLocation": str(landing.parent / "schemas"),
    }
    given["schemaEvolutionMode"] = "rescue"
    run = Run(cloud_files.from_read(None, given, str(landing), parse_ddl), landing.parent / "log")
    land(landing, "2.csv", "2,b,c\n", 2)
    _, row = run.batch() or []
    assert rescued(row) == {"_c2": "c"}


def test_csv_columns_are_found_by_their_header(landing: Path) -> None:
    land(landing, "1.csv", "id,name\n1,Ana\n", 1)
    options = {"cloudFiles.schemaEvolutionMode": "rescue", "inferColumnTypes": "true"}
    given = options | {"cloudFiles.format": "csv", "cloudFiles.schemaLocation": str(landing.parent / "schemas")}
    run = Run(cloud_files.from_read(None, given, str(landing), parse_ddl), landing.parent / "log")
    land(landing, "2.csv", "name,age,ID\nBia,30,2\nCaio,,x\n", 2)
    ana, bia, caio = run.batch() or []
    assert ana == {"id": 1, "name": "Ana", "_rescued_data": None}
    assert (bia["id"], bia["name"], rescued(bia)) == (2, "Bia", {"age": "30"})
    assert (caio["id"], caio["name"], rescued(caio)) == (None, "Caio", {"id": "x"})


def test_a_damaged_file_is_set_aside_and_the_stream_goes_on(landing: Path) -> None:
    parquet(landing, "1.parquet", id=[1])
    run = start(landing, "parquet")
    (landing / "2.parquet").write_bytes((landing / "1.parquet").read_bytes()[:-20])
    parquet(landing, "3.parquet", id=[3])
    end = run.reader.latest_offset(None, ReadLimit())
    assert end is not None
    assert sorted(row["id"] for row in run.rows(end)) == [1, 3]
    assert run.metrics["numFilesSetAside"] == "1"
    assert "2.parquet" in run.metrics["filesSetAside"]
    assert (landing / "2.parquet").exists()

    parquet(landing, "2.parquet", id=[2])
    again = run.restart()
    assert sorted(row["id"] for row in again.rows(end)) == [1, 3], "mended, but the batch must stay the same"


def test_a_file_that_vanished_is_set_aside(landing: Path) -> None:
    parquet(landing, "1.parquet", id=[1])
    parquet(landing, "2.parquet", id=[2])
    run = start(landing, "parquet")
    end = run.reader.latest_offset(None, ReadLimit())
    assert end is not None
    (landing / "1.parquet").unlink()
    again = run.restart()
    assert [row["id"] for row in again.rows(end)] == [2]
    assert again.metrics["numFilesSetAside"] == "1"


def test_damage_in_the_middle_gives_no_rows_at_all(landing: Path) -> None:
    import gzip

    whole = gzip.compress(b'{"id": 1}\n' * 100_000)
    land(landing, "0.json", '{"id": 0}', 0)
    run = start(landing)
    (landing / "1.json.gz").write_bytes(whole[: len(whole) // 2])
    assert [row["id"] for row in run.batch() or []] == ["0"]
    assert run.metrics["numFilesSetAside"] == "1"


def test_existing_files_can_be_left_out_for_good(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}')
    run = start(landing, includeExistingFiles="false")
    assert run.batch() is None
    land(landing, "2.json", '{"id": 2}')
    again = run.restart()
    assert [row["id"] for row in again.batch() or []] == ["2"]


def test_a_changed_file_is_read_again_if_asked_for(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}', 1)
    once, often = start(landing), Run(source(landing, allowOverwrites="true"), landing.parent / "other")
    once.batch()
    often.batch()
    land(landing, "1.json", '{"id": 2}', 2)
    assert once.batch() is None
    assert [row["id"] for row in often.batch() or []] == ["2"]
    assert often.restart().batch() is None


def test_both_limits_hold(landing: Path) -> None:
    for i in range(4):
        land(landing, f"{i}.json", f'{{"id": {i}}}', i)
    run = start(landing, maxFilesPerTrigger="3", maxBytesPerTrigger="18b")
    assert [len(run.batch() or []) for _ in range(3)] == [2, 2, 0]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"format": "xlsx"}, IllegalArgumentError),
        ({"schemaEvolutionMode": "sometimes"}, IllegalArgumentError),
        ({"maxFilesPerTrigger": "0"}, IllegalArgumentError),
        ({"schemaLocatoin": "x"}, AnalysisError),
        ({"cleanSource": "DELETE"}, UnsupportedOperationError),
    ],
)
def test_what_cannot_be_is_refused(landing: Path, options: dict[str, str], error: type[SparkError]) -> None:
    land(landing, "1.json", '{"id": 1}')
    with pytest.raises(error):
        source(landing, **options)


def test_unknown_options_are_fine_if_nobody_validates(landing: Path) -> None:
    land(landing, "1.json", '{"id": 1}')
    assert source(landing, colour="red", validateOptions="false").schema.names == ["id", "_rescued_data"]


def test_a_given_schema_cannot_grow(landing: Path) -> None:
    with pytest.raises(AnalysisError, match="CF_ADD_NEW_NOT_SUPPORTED"):
        source(landing, schema=pa.schema([("id", pa.int64())]), schemaEvolutionMode="addNewColumns")
