"""A log in which files were removed under other names than theirs, as the engine's own commits do, and its mending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from riacho.cli.checks import Health
from riacho.cli.table_checks import check_table
from riacho.errors import SparkError
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.commands import SqlContext
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.repair import Damage, examine
from riacho.server.delta.state import load_state
from riacho.storage import on_disk

Sql = Callable[[str], list[dict[str, Any]]]
VALUES = "('two words', 1), ('two words', 2), ('50%', 3), ('plain', 4)"


def seen(folder: Path) -> list[tuple[Any, ...]]:
    """What a reader of Delta that goes by the log's text sees."""
    rows = pa.table(QueryBuilder().register("t", DeltaTable(folder)).execute("SELECT g, id FROM t").read_all())
    return sorted((row["g"], row["id"]) for row in rows.to_pylist())


@pytest.fixture(params=["", "TBLPROPERTIES (delta.enableDeletionVectors = true)"])
def damaged(request: pytest.FixtureRequest, sql: Sql, context: SqlContext, warehouse: WarehouseCatalog) -> Path:
    """A table whose rows were changed by the engine."""
    sql(f"CREATE TABLE t (g STRING, id INT) PARTITIONED BY (g) {request.param}")
    sql(f"INSERT INTO t VALUES {VALUES}")
    context.session.sql("UPDATE t SET id = 30 WHERE id = 3")
    context.session.sql("DELETE FROM t WHERE id = 2")
    return on_disk(warehouse.location_for(warehouse.qualify("t")), "it")


RIGHT = [("50%", 30), ("plain", 4), ("two words", 1)]


def test_it_is_found_and_mended(damaged: Path, sql: Sql, warehouse: WarehouseCatalog) -> None:
    assert {finding.damage for finding in examine(damaged)} >= {Damage.NOT_REMOVED}
    (told, *_) = check_table("t", on_disk(warehouse.warehouse, "it"), repair=False)
    assert told.health is Health.FAIL
    assert told.way_out == "riacho doctor t --repair"
    for statement in ("UPDATE t SET id = 1", "OPTIMIZE t"):
        with pytest.raises(SparkError, match="riacho doctor"):
            sql(statement)
    version = DeltaLog(damaged).latest_version()
    assert sql("FSCK REPAIR TABLE t DRY RUN") != []
    assert DeltaLog(damaged).latest_version() == version
    assert all(
        finding.health is Health.OK
        for finding in check_table(str(damaged), on_disk(warehouse.warehouse, "it"), repair=True)
    )
    assert seen(damaged) == RIGHT
    assert sorted((row["g"], row["id"]) for row in sql("SELECT * FROM t")) == RIGHT
    assert sql("FSCK REPAIR TABLE t") == []
    sql("UPDATE t SET id = 31 WHERE id = 30")
    assert seen(damaged) == [("50%", 31), *RIGHT[1:]]


def test_a_checkpoint_hides_it_from_nobody(damaged: Path, warehouse: WarehouseCatalog) -> None:
    DeltaTable(damaged).create_checkpoint()
    assert check_table("t", on_disk(warehouse.warehouse, "it"), repair=False)[0].health is Health.FAIL
    check_table("t", on_disk(warehouse.warehouse, "it"), repair=True)
    assert seen(damaged) == RIGHT


def test_rows_that_were_carried_on(sql: Sql, context: SqlContext, warehouse: WarehouseCatalog) -> None:
    sql("CREATE TABLE t (g STRING, id INT) PARTITIONED BY (g)")
    sql(f"INSERT INTO t VALUES {VALUES}")
    context.session.sql("DELETE FROM t WHERE id = 2")
    folder = on_disk(warehouse.location_for(warehouse.qualify("t")), "it")
    DeltaTable(str(folder)).optimize.compact()
    (finding,) = check_table("t", on_disk(warehouse.warehouse, "it"), repair=True)
    assert finding.health is Health.FAIL
    assert "VERSION AS OF 2" in finding.way_out
    sql("RESTORE TABLE t TO VERSION AS OF 2")
    sql("FSCK REPAIR TABLE t")
    assert seen(folder) == [("50%", 3), ("plain", 4), ("two words", 1)]


def test_files_that_are_gone_and_files_twice(sql: Sql, warehouse: WarehouseCatalog) -> None:
    sql(f"CREATE TABLE t AS SELECT * FROM VALUES {VALUES} AS v(g, id)")
    sql("INSERT INTO t VALUES ('x', 9)")
    folder = warehouse.location_for(warehouse.qualify("t"))
    assert sql("FSCK REPAIR TABLE t") == []
    files = load_state(DeltaLog(folder), with_files=True).files or {}
    (folder / list(files)[-1][0]).unlink()
    (found,) = sql("FSCK REPAIR TABLE t DRY RUN")
    assert (found["dataFileMissing"], found["repaired"]) == (True, False)
    sql("FSCK REPAIR TABLE t")
    assert len(sql("SELECT * FROM t")) == 4
