"""The names of things in a pipeline.

Tables, materialized views, persisted views and the flows into them have three parts (`catalog.database.name`), made
full when they are registered. Temporary views and sinks live in the graph alone and have exactly one part.
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import UnsupportedOperationError
from riacho.identifiers import quoted
from riacho.server.catalog.base import TableName
from riacho.server.sql.cursor import dotted_name


@dataclass(frozen=True, order=True)
class Identifier:
    """A name of one to three parts. `str()` is unquoted, as events show it; `quoted` is how error messages do."""

    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def qualifier(self) -> tuple[str, ...]:
        """All but the last part."""
        return self.parts[:-1]

    @property
    def is_single(self) -> bool:
        """Whether it has one part only."""
        return len(self.parts) == 1

    @property
    def quoted(self) -> str:
        return quoted(self.parts)

    @property
    def table_name(self) -> TableName:
        """The name in the catalog, which has all names in lower case; only for full names."""
        catalog, database, table = (part.lower() for part in self.parts)
        return TableName(catalog, database, table)

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class CurrentNamespace:
    """What unqualified names mean: the catalog and database in force where they are written.

    `database` is None after `SET CATALOG`, until a `USE DATABASE` says which one is meant.
    """

    catalog: str
    database: str | None

    def qualify(self, name: Identifier) -> Identifier:
        """`name` with three parts. Raises UnsupportedOperationError if it has more, or if no database is in force."""
        match name.parts:
            case (table,) if self.database is not None:
                return Identifier((self.catalog, self.database, table))
            case (database, table):
                return Identifier((self.catalog, database, table))
            case (_, _, _):
                return name
            case (table,):
                raise UnsupportedOperationError(
                    f"The name {table} needs a database here: after SET CATALOG {self.catalog} there is no current "
                    f"database. Write database.{table}, or use USE DATABASE first."
                )
            case _:
                raise UnsupportedOperationError(f"4+ part table identifier {name} is not supported.")


def parse(text: str) -> Identifier:
    """The identifier that `text` spells, backticks allowed. Raises PARSE_SYNTAX_ERROR."""
    return Identifier(dotted_name(text))
