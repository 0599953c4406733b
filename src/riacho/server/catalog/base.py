"""Names and the tables behind them. Code that decides gets a `CatalogReader`; code that changes gets a `Catalog`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from riacho.storage import Place, is_object, place_of

CATALOG_NAME = "spark_catalog"
DEFAULT_DATABASE = "default"


@dataclass(frozen=True, order=True)
class TableName:
    """A full name. `str()` gives `spark_catalog.bronze.events`, unquoted, as pipeline events print it.

    A Delta table that is named by its path, ``delta.`/lake/Events` ``, has that path for a name, and its case.
    """

    catalog: str
    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.database}.{self.table}"

    @property
    def path(self) -> Place | None:
        """The folder of a Delta table that is named by it."""
        return place_of(self.table) if self.table.startswith("/") or is_object(self.table) else None


@dataclass(frozen=True)
class Table:
    """What the catalog knows of a table. For Delta, schema, partitioning, comment and properties come from its log.

    `options`: how to read a table of files of another format.
    """

    name: TableName
    location: Place
    format: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A persisted view: SQL text and the database it was created in."""

    name: TableName
    text: str
    comment: str | None = None


class CatalogReader(Protocol):
    """Looks up; changes nothing."""

    warehouse: Place

    @property
    def generation(self) -> int:
        """Grows with each change of names, so that sessions know when to look again."""

    def qualify(self, parts: Sequence[str] | str, current_database: str = DEFAULT_DATABASE) -> TableName:
        """A name of one to three parts (or unparsed text, backticks allowed) made full. Raises AnalysisError."""

    def databases(self) -> list[str]:
        """All database names, sorted; `default` is always there."""

    def tables(self, database: str) -> list[TableName]:
        """Tables and persisted views of a database, sorted. Raises SCHEMA_NOT_FOUND."""

    def table(self, name: TableName) -> Table | None:
        """The table of that name as it is now, or None."""

    def view(self, name: TableName) -> View | None:
        """The persisted view of that name, or None."""


class Catalog(CatalogReader, Protocol):
    """Looks up and changes. Every change is durable when the call returns and seen by all sessions."""

    def create_database(self, name: str, *, if_not_exists: bool = False, comment: str | None = None) -> None:
        """Make a database and its folder `<warehouse>/<name>.db`.

        Raises SCHEMA_ALREADY_EXISTS, INVALID_SCHEMA_OR_RELATION_NAME.
        """

    def drop_database(self, name: str, *, if_exists: bool = False, cascade: bool = False) -> None:
        """Raises SCHEMA_NOT_FOUND, SCHEMA_NOT_EMPTY, UNSUPPORTED_FEATURE.DROP_DATABASE for the default one."""

    def create_table(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        format: str = "delta",
        partition_by: Sequence[str] = (),
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        location: Place | None = None,
        if_not_exists: bool = False,
    ) -> Table:
        """Make an empty table (or register what lies at `location`).

        Raises TABLE_OR_VIEW_ALREADY_EXISTS, SCHEMA_NOT_FOUND, INVALID_SCHEMA_OR_RELATION_NAME, DATA_SOURCE_NOT_FOUND
        for a `format` that is not known, DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION, and what the format raises.
        """

    def drop_table(self, name: TableName, *, if_exists: bool = False) -> None:
        """Forget a table; a managed one loses its data too. Raises TABLE_OR_VIEW_NOT_FOUND."""

    def create_view(self, view: View, *, replace: bool = False) -> None:
        """Keep a persisted view.

        Raises TABLE_OR_VIEW_ALREADY_EXISTS, EXPECT_VIEW_NOT_TABLE where a table is to be replaced, SCHEMA_NOT_FOUND,
        INVALID_SCHEMA_OR_RELATION_NAME.
        """

    def drop_view(self, name: TableName, *, if_exists: bool = False) -> None:
        """Forget a view. Raises TABLE_OR_VIEW_NOT_FOUND, WRONG_COMMAND_FOR_OBJECT_TYPE."""

    def evolve(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Table:
        """Make `schema` the table's schema (columns added, dropped by name) and set properties; data untouched.

        Raises TABLE_OR_VIEW_NOT_FOUND, EXPECT_TABLE_NOT_VIEW, DELTA_MISSING_DELTA_TABLE for a path, and what the
        table's format refuses.
        """

    def truncate(self, name: TableName) -> None:
        """Remove all rows in one commit.

        Raises TABLE_OR_VIEW_NOT_FOUND, EXPECT_TABLE_NOT_VIEW, DELTA_MISSING_DELTA_TABLE for a path,
        DELTA_CANNOT_MODIFY_APPEND_ONLY.
        """
