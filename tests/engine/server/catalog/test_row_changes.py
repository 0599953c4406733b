"""Changes of rows beside other writers, and in tables whose columns are computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from riacho.clock import SystemClock
from riacho.errors import SparkError
from riacho.server.catalog import row_changes
from riacho.server.catalog.row_changes.job import Job, TableChange
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.commands import SqlContext
from riacho.server.delta import tables
from riacho.server.delta.actions import Json
from riacho.server.delta.changes import TableDefinition
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import TableState, load_state
from riacho.server.delta.write import DeltaOperation
from riacho.server.delta.writer import DeltaWriter
from riacho.storage import on_disk

Make = Callable[[Job, TableChange], None]
Sql = Callable[[str], list[dict[str, Any]]]


def rows(sql: Sql, table: str = "t") -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in sql(f"SELECT * FROM {table}"))


@pytest.mark.parametrize(
    ("meanwhile", "expected", "runs"),
    [
        ("INSERT INTO t VALUES (9, 9)", [(1, 0), (2, 0), (9, 9)], 1),
        ("DELETE FROM t WHERE id = 1", [(2, 0)], 2),
        ("OPTIMIZE t", [(1, 0), (2, 0)], 2),
    ],
)
def test_others_write_meanwhile(
    sql: Sql,
    context: SqlContext,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
    expected: list[tuple[int, int]],
    runs: int,
) -> None:
    """What does no harm is let pass; else the change is computed anew, and no file of the first try is left."""
    sql("CREATE TABLE t (id INT, v INT)")
    sql("INSERT INTO t VALUES (1, 1)")
    sql("INSERT INTO t VALUES (2, 2)")
    done: list[int] = []
    run = row_changes.Runner.run

    def between(
        self: row_changes.Runner, folder: Path, operation: DeltaOperation, make: Callable[[Job, TableChange], None]
    ) -> row_changes.Counts:
        def made(job: Job, change: TableChange) -> None:
            make(job, change)
            done.append(len(change.added))
            if len(done) == 1 and operation.name == "UPDATE":
                monkeypatch.setattr(row_changes.Runner, "run", run)
                sql(meanwhile)

        return run(self, folder, operation, made)

    monkeypatch.setattr(row_changes.Runner, "run", between)
    sql("UPDATE t SET v = 0")
    assert rows(sql) == expected
    assert len(done) == runs
    folder = context.delta_folder(("t",), "")
    written = {path.name for path in folder.glob("*.parquet")}
    logged = set()
    for version in DeltaLog(folder).versions():
        logged |= {add.path for add in DeltaLog(folder).read(version).adds}
    assert written == logged


def test_generated_columns(sql: Sql, warehouse: WarehouseCatalog) -> None:
    folder = on_disk(warehouse.location_for(warehouse.qualify("t")), "it")
    schema = pa.schema([("id", pa.int32()), ("twice", pa.int64()), ("g", pa.string())])
    tables.create(folder, TableDefinition(schema, ("g",)), SystemClock())
    _generate(folder, "twice", "id * 2")
    sql("INSERT INTO t (g, id) VALUES ('a b', 1), ('c', 2)")
    with pytest.raises(SparkError, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.*Generated Column"):
        sql("INSERT INTO t VALUES (3, 5, 'c')")
    sql("UPDATE t SET id = 10 WHERE g = 'a b'")
    with pytest.raises(SparkError, match="Generated Column"):
        sql("UPDATE t SET twice = 3")
    sql("MERGE INTO t USING (SELECT 7 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)")
    assert sorted((row["id"], row["twice"]) for row in sql("SELECT * FROM t")) == [(2, 4), (7, 14), (10, 20)]


def _generate(folder: Path, column: str, expression: str) -> None:
    """Make a column of a table a generated one, as its log says it."""
    text = load_state(DeltaLog(folder)).metadata.schema_json
    marked = text.replace(
        f'"name":"{column}","type":"long","nullable":true,"metadata":{{}}',
        f'"name":"{column}","type":"long","nullable":true,"metadata":{{"delta.generationExpression":"{expression}"}}',
    )
    assert marked != text

    def decide(state: TableState | None) -> list[Json]:
        assert state is not None
        action = state.metadata.to_json()
        action["metaData"]["schemaString"] = marked
        return [action]

    DeltaWriter(folder).commit(decide)
