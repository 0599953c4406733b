"""What the database's catalog says of tables: columns and their types, keys, parts, what a publication has of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from riacho.connectors.postgres.client import quoted
from riacho.connectors.postgres.types import PgType
from riacho.errors import AnalysisError


@dataclass(frozen=True)
class PgColumn:
    """`is_generated`: PostgreSQL computes it, and its changes are not in the log."""

    name: str
    type: PgType
    is_generated: bool


@dataclass(frozen=True)
class PgTable:
    """A table. `key`: its primary key, in order. `tells_old_rows`: whether its REPLICA IDENTITY lets updates and
    deletes be published.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[PgColumn, ...]
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    tells_old_rows: bool
    is_partitioned: bool

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class TablePart:
    """What a snapshot reads at a time: a table, or a partition of one. `file`: where its rows lie now."""

    table: str
    schema: str
    name: str
    file: int

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


_TABLES: Final = """
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p',
  c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate
    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END),
  k.names, k.types
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
  SELECT array_agg(a.attname ORDER BY u.n) AS names,
    array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY u.n) AS types
  FROM pg_index i, unnest(i.indkey) WITH ORDINALITY u(attnum, n), pg_attribute a
  WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = u.attnum
    AND u.n <= i.indnkeyatts
) k
WHERE c.oid = ANY(%s) AND c.relkind IN ('r', 'p')
"""
_COLUMNS: Final = """
SELECT attrelid, attname, atttypid, atttypmod, attndims, attgenerated <> '' FROM pg_attribute
WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
"""
_TYPES: Final = """
WITH RECURSIVE needed(oid) AS (
  SELECT unnest(%s::oid[])
  UNION SELECT u.oid FROM needed d JOIN pg_type t ON t.oid = d.oid,
    LATERAL (VALUES (t.typbasetype), (CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END)) u(oid) WHERE u.oid <> 0
)
SELECT oid, typname, typbasetype, typtypmod, CASE WHEN typcategory = 'A' THEN typelem ELSE 0 END, typndims
FROM pg_type WHERE oid IN (SELECT oid FROM needed)
"""
_PARTS: Final = """
SELECT n.nspname, c.relname, coalesce(pg_relation_filenode(c.oid), 0)::bigint FROM pg_partition_tree(%s::oid) p
JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.isleaf AND c.relkind = 'r' ORDER BY 1, 2
"""


def find(connection: Any, names: Sequence[str]) -> list[int]:
    """The oids of tables by name, as SQL writes names. Raises AnalysisError for one that is not there."""
    found = []
    for name in names:
        (oid,) = connection.execute("SELECT to_regclass(%s)::oid", (name,)).fetchone()
        if oid is None:
            raise AnalysisError.of(
                "TABLE_OR_VIEW_NOT_FOUND",
                f"There is no table {name} in the database, or this user may not see it. "
                'Write names as SQL does: schema.table, "With Capitals"."And spaces".',
                sql_state="42P01",
                relationName=name,
            )
        found.append(oid)
    return list(dict.fromkeys(found))


def tables(connection: Any, oids: Sequence[int]) -> list[PgTable]:
    """The tables with these oids, in that order. Raises AnalysisError for a relation that is no table."""
    oids = list(oids)
    kinds = _types(connection, oids)
    columns: dict[int, list[PgColumn]] = {oid: [] for oid in oids}
    for oid, name, kind, modifier, dimensions, generated in connection.execute(_COLUMNS, (oids,)):
        columns[oid].append(PgColumn(name, kinds.of(kind, modifier, dimensions), generated))
    found = {
        oid: PgTable(oid, schema, name, tuple(columns[oid]), tuple(key or ()), tuple(types or ()), tells, parted)
        for oid, schema, name, parted, tells, key, types in connection.execute(_TABLES, (oids,))
    }
    for oid in oids:
        if oid not in found:
            (name,) = connection.execute("SELECT %s::regclass::text", (oid,)).fetchone()
            raise AnalysisError(f"{name} is no table: it has no changes in the log (a view, say, or a foreign table)")
    return [found[oid] for oid in oids]


def check_names(names: Iterable[str], of: Sequence[PgTable]) -> None:
    """Raises AnalysisError for a column of a schema that none of the tables has: it would be null in all rows."""
    there = list(dict.fromkeys(column.name for table in of for column in table.columns))
    if unknown := [name for name in names if name not in there]:
        tables_of = ", ".join(table.full_name for table in of)
        raise AnalysisError(
            f"The schema has columns that are not in {tables_of}: {', '.join(unknown)}. "
            f"There are {', '.join(there)}; capitals count"
        )


def parts(connection: Any, of: Sequence[PgTable]) -> list[TablePart]:
    """What a snapshot of these tables reads: partitions where there are some."""
    found = []
    for table in of:
        if table.is_partitioned:
            rows = connection.execute(_PARTS, (table.oid,)).fetchall()
        else:
            query = "SELECT coalesce(pg_relation_filenode(%s::oid), 0)::bigint"
            rows = [(table.schema, table.name, connection.execute(query, (table.oid,)).fetchone()[0])]
        found += [TablePart(table.full_name, schema, name, file) for schema, name, file in rows]
    return found


class _PgTypes:
    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._rows = {row[0]: row[1:] for row in rows}

    def of(self, oid: int, modifier: int, dimensions: int) -> PgType:
        """A column's type, domains resolved to what they stand for."""
        name, base, own_modifier, element, own_dimensions = self._rows[oid]
        if base:
            return self.of(base, own_modifier, dimensions or own_dimensions)
        if element:
            return PgType(name, modifier, self.of(element, modifier, 0), dimensions or 1)
        return PgType(name, modifier)


def _types(connection: Any, oids: list[int]) -> _PgTypes:
    used = "SELECT DISTINCT atttypid FROM pg_attribute WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped"
    kinds = [row[0] for row in connection.execute(used, (oids,))]
    return _PgTypes(connection.execute(_TYPES, (kinds,)).fetchall())
