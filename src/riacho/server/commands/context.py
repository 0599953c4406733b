"""What a statement is run with, and where the tables it names lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from riacho.clock import Clock, SystemClock
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.catalog import failures
from riacho.server.catalog.base import Table, TableName
from riacho.server.catalog.row_changes import Runner
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.catalog.write import TableWrites
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import TableState, load_state
from riacho.server.engine.base import EngineSession
from riacho.server.sql.statements import Name
from riacho.storage import Place

_OF_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})


@dataclass
class SqlContext:
    """The catalog, the session, and what the server knows of it.

    `temporary_views`: lower-case names of the session's temporary views, which hide tables of the same name; global
    ones with `global_temp.` before. `inputs`: DataFrames that the statement's text names, each as a relation under
    that name.
    """

    catalog: WarehouseCatalog
    session: EngineSession
    temporary_views: Collection[str] = ()
    clock: Clock = field(default_factory=SystemClock)
    inputs: Mapping[str, pb.Relation] = field(default_factory=dict)
    at_end: ExitStack = field(default_factory=ExitStack)
    """What is undone when the statement has ended."""

    @property
    def current_database(self) -> str:
        """The database that names without one mean."""
        return self.session.current_database

    def query(self, text: str) -> pb.Relation:
        """A query's text as a relation, which knows the DataFrames that were given with the statement."""
        relation = query(text)
        used = [given for name, given in self.inputs.items() if name in text]
        if not used:
            return relation
        whole = pb.Relation()
        whole.with_relations.root.CopyFrom(relation)
        whole.with_relations.references.extend(used)
        return whole

    @property
    def changes(self) -> Runner:
        return Runner(self.session, self.clock)

    @property
    def writes(self) -> TableWrites:
        return TableWrites(self.catalog, self.clock)

    def qualify(self, name: Name) -> TableName:
        return self.catalog.qualify(name, self.current_database)

    def is_temporary(self, name: Name) -> bool:
        """Whether the name is a temporary view's."""
        return ".".join(name).lower() in self.temporary_views

    def table(self, name: Name, operation: str) -> Table:
        """The table of that name.

        Raises TABLE_OR_VIEW_NOT_FOUND, EXPECT_TABLE_NOT_VIEW; for a path DELTA_MISSING_DELTA_TABLE, and for rows of it
        PATH_NOT_FOUND, DELTA_TABLE_NOT_FOUND.
        """
        full = self.qualify(name)
        table = self.catalog.table(full)
        if table is None:
            if self.catalog.view(full) is not None:
                raise failures.expect_table(operation, full)
            raise failures.table_not_found(full) if full.path is None else self._missing(full.path, operation)
        return table

    def delta_folder(self, name: Name, operation: str) -> Place:
        """The folder of a Delta table that is named, or given as ``delta.`/path` ``.

        Raises as `table`, DELTA_TABLE_ONLY_OPERATION.
        """
        table = self.table(name, operation)
        if table.format != "delta":
            raise failures.not_delta(table.name, operation)
        return table.location

    @staticmethod
    def _missing(path: Place, operation: str) -> AnalysisError:
        """The error for a path without a Delta table, which depends on what was to be done."""
        if operation not in _OF_ROWS:
            return failures.missing_delta_table(path)
        return failures.delta_table_not_found(str(path)) if path.exists() else failures.path_not_found(str(path))

    def delta_state(self, folder: Place) -> TableState:
        """The newest state of the Delta table in `folder`. Raises as `load_state`."""
        return load_state(DeltaLog(folder))

    def schema_of(self, name: Name) -> pa.Schema:
        """The columns of a view, as the engine sees them. Raises what the engine says of a view that it cannot read."""
        relation = pb.Relation()
        relation.read.named_table.unparsed_identifier = ".".join(f"`{part}`" for part in name)
        return self.session.schema(relation)


def query(text: str) -> pb.Relation:
    """A query's text as a relation."""
    relation = pb.Relation()
    relation.sql.query = text
    return relation


def nothing() -> pa.Table:
    """The result of a statement that gives none: no columns, no rows."""
    return pa.table({})


def rows(columns: tuple[str, ...], values: list[tuple[str | None, ...]]) -> pa.Table:
    """A result of text columns."""
    schema = pa.schema([pa.field(name, pa.string()) for name in columns])
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in values], schema)
