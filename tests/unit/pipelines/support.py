"""A pipeline in a few words: SQL definitions in, a resolution out, with the real engine for the columns of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from riacho.catalog.base import Table, TableName, View
from riacho.engine.base import EngineSession
from riacho.engine.spool import empty
from riacho.errors import AnalysisError
from riacho.pipelines.graph import DataflowGraph
from riacho.pipelines.names import Identifier, Scope
from riacho.pipelines.resolve import Resolution, resolve
from riacho.pipelines.sql.register import register
from riacho.plan.rewrite import Template
from riacho.protos import pb

SCOPE = Scope("spark_catalog", "default")
SOURCE_SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def full(name: str) -> Identifier:
    """A name in the default database."""
    return Identifier(("spark_catalog", "default", name))


@dataclass
class Pipelines:
    """Defines and resolves pipelines. Any stream from outside of a pipeline has the columns `SOURCE_SCHEMA`."""

    session: EngineSession
    confs: dict[str, str] = field(default_factory=dict)

    def graph(self, *files: str, conf: Mapping[str, str] | None = None) -> DataflowGraph:
        graph = DataflowGraph("g", SCOPE, conf or {})
        for number, text in enumerate(files):
            register(text, file=f"f{number}.sql", graph=graph, parse_columns=self.session.parse_ddl)
        return graph

    def resolve(self, *files: str, conf: Mapping[str, str] | None = None) -> Resolution:
        return self.resolve_graph(self.graph(*files, conf=conf))

    def resolve_graph(self, graph: DataflowGraph) -> Resolution:
        return resolve(graph.definition(), self.analyze, self.confs.get)

    def analyze(self, relation: pb.Relation, conf: Mapping[str, str]) -> pa.Schema:
        template = Template(relation)
        for leaf in template.leaves:
            if "missing" in leaf.relation.read.named_table.unparsed_identifier:
                raise AnalysisError("[TABLE_OR_VIEW_NOT_FOUND] missing")
        return self.session.schema(template.bind({leaf.index: empty(SOURCE_SCHEMA) for leaf in template.leaves}))


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
