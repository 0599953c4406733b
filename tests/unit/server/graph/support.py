"""Names, tables and a catalog for tests of pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from riacho.server.catalog.base import Table, TableName, View
from riacho.server.graph.names import CurrentNamespace, Identifier

SCOPE = CurrentNamespace("spark_catalog", "default")
SOURCE_SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def full(name: str) -> Identifier:
    """A name in the default database."""
    return Identifier(("spark_catalog", "default", name))


class FakeCatalog:
    """A catalog in memory, without rows; `calls` lists what was changed."""

    def __init__(self, *tables: Table) -> None:
        self.warehouse = Path("/warehouse")
        self.generation = 0
        self.views: dict[TableName, View] = {}
        self.calls: list[str] = []
        self._tables = {table.name: table for table in tables}

    def databases(self) -> list[str]:
        return ["db2", "default"]

    def table(self, name: TableName) -> Table | None:
        return self._tables.get(name)

    def create_table(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        format: str = "delta",
        partition_by: tuple[str, ...] = (),
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Table:
        self.calls.append(f"create {name}")
        self._tables[name] = Table(
            name, self.warehouse / name.table, format, schema, tuple(partition_by), comment, dict(properties or {})
        )
        return self._tables[name]

    def truncate(self, name: TableName) -> None:
        self.calls.append(f"truncate {name}")

    def evolve(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Table:
        self.calls.append(f"evolve {name} {','.join(schema.names)}")
        return self._tables[name]

    def create_view(self, view: View, *, replace: bool = False) -> None:
        self.calls.append(f"view {view.name}")
        self.views[view.name] = view


def table(name: str, schema: pa.Schema = SOURCE_SCHEMA, **properties: object) -> Table:
    """A table of the catalog."""
    known = full(name).table_name
    return Table(known, Path("/warehouse") / name, "delta", schema, **properties)  # type: ignore[arg-type]
