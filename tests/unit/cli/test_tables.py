"""`riacho tables` over a warehouse that riacho and others have written to."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from rich.console import Console
from typer.testing import CliRunner

from riacho.cli.app import app
from riacho.cli.tables import TableFacts, grid, look
from riacho.server.catalog.base import View
from riacho.server.catalog.warehouse import WarehouseCatalog


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """Two databases, a view, and a table of two versions with five rows, one of them deleted."""
    folder = tmp_path / "lake"
    catalog = WarehouseCatalog(folder)
    catalog.create_database("gold")
    write_deltalake(folder / "gold.db" / "events", pa.table({"id": [1, 2, 3]}), description="What happened")
    write_deltalake(folder / "gold.db" / "events", pa.table({"id": [4, 5]}), mode="append")
    DeltaTable(folder / "gold.db" / "events").delete("id = 5")
    write_deltalake(folder / "plain", pa.table({"id": pa.array([], pa.int64())}))
    catalog.create_view(View(catalog.qualify("gold.seen"), "SELECT 1", "A view"))
    return folder


def test_facts_come_from_the_logs(warehouse: Path) -> None:
    plain, events, seen = look(warehouse)

    assert (events.name, events.kind, events.rows, events.version) == ("gold.events", "delta", 4, 2)
    assert events.comment == "What happened"
    assert events.bytes is not None
    assert events.bytes > 0
    assert events.changed is not None
    assert abs((datetime.now(UTC) - events.changed).total_seconds()) < 60
    assert (plain.name, plain.rows, plain.version) == ("default.plain", 0, 0)
    assert (seen.name, seen.kind, seen.rows, seen.comment) == ("gold.seen", "view", None, "A view")


def test_one_database(warehouse: Path) -> None:
    result = CliRunner().invoke(app, ["tables", "GOLD", "--warehouse", str(warehouse), "--format", "json"])

    assert result.exit_code == 0
    assert [table["name"] for table in json.loads(result.stdout)] == ["gold.events", "gold.seen"]


def test_a_database_that_is_not_there(warehouse: Path) -> None:
    result = CliRunner().invoke(app, ["tables", "silver", "--warehouse", str(warehouse)])

    assert result.exit_code == 1
    assert result.stderr.startswith("error: [SCHEMA_NOT_FOUND]")


def test_a_warehouse_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tables", "--warehouse", str(tmp_path / "nowhere")])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: there is no warehouse at {tmp_path / 'nowhere'} → ")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(width: int) -> None:
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    facts = TableFacts("gold.events", "delta", 1_234_567, 3_500_000, 12, now, "What happened, " * 10, "/lake/gold.db")
    console = Console(file=io.StringIO(), width=width)
    console.print(grid([facts], now.timestamp() + 90))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    assert "gold.events   1,234,567   3.3 MiB        12   1 min ago" in lines[3]
