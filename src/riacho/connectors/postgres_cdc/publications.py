"""Which tables a stream follows, and the publication that has PostgreSQL send their changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from riacho.connectors.postgres import catalog
from riacho.connectors.postgres.catalog import PgTable
from riacho.connectors.postgres.client import quoted
from riacho.connectors.postgres_cdc.settings import CdcSettings
from riacho.errors import AnalysisError

_log = logging.getLogger(__name__)
_LISTED: Final = """
SELECT format('%%I.%%I', schemaname, tablename)::regclass::oid, to_jsonb(p) -> 'attnames', to_jsonb(p) ->> 'rowfilter'
FROM pg_publication_tables p WHERE pubname = %s ORDER BY schemaname, tablename
"""
_CHILDREN: Final = """
SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = ANY(%s::oid[]) AND inhrelid <> ALL(%s::oid[]) ORDER BY 1, 2
"""
_ANCESTORS: Final = "SELECT relid::oid FROM pg_partition_ancestors(%s::oid)"


@dataclass(frozen=True)
class Following:
    """The tables of a stream, as the publication lets through: their columns, and by table the rows (`filters`, SQL).

    `published`: whether the publication is there.
    """

    tables: Sequence[PgTable]
    filters: Mapping[str, str]
    published: bool


def following(connection: Any, settings: CdcSettings) -> Following:
    """What the stream follows. Raises AnalysisError for a table or a publication that is not there, or does not fit."""
    name = settings.publication
    exists = connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", (name,)).fetchone() is not None
    if not settings.tables and not exists:
        raise AnalysisError(
            f"There is no publication {name} in the database. Make it, CREATE PUBLICATION {quoted(name)} FOR TABLE …; "
            "or name the tables in the option `tables`, and it will be made"
        )
    listed = {oid: (columns, rows) for oid, columns, rows in connection.execute(_LISTED, (name,))} if exists else {}
    if settings.tables:
        found = catalog.tables(connection, catalog.find(connection, settings.tables))
    else:
        roots = list(dict.fromkeys(_root(connection, oid) for oid in listed))
        found = catalog.tables(connection, roots)
        if not found:
            raise AnalysisError(f"The publication {name} has no tables: ALTER PUBLICATION {quoted(name)} ADD TABLE …")
    _all_children(connection, found)
    tables, filters = [], {}
    for table in found:
        known = listed.get(table.oid)
        if exists and known is None and not _has_parts(connection, table, listed):
            raise AnalysisError(
                f"The publication {name} lacks the table {table.full_name}: "
                f"ALTER PUBLICATION {quoted(name)} ADD TABLE {table.sql}; then start the stream again. "
                "Rows that were there before come with a new stream alone"
            )
        columns, rows = known or (None, None)
        if columns is not None:
            shown = tuple(column for column in table.columns if column.name in columns)
            tables.append(replace(table, columns=shown))
        else:
            tables.append(table)
        if rows is not None:
            filters[table.full_name] = rows
    return Following(tables, filters, exists)


def _all_children(connection: Any, found: Sequence[PgTable]) -> None:
    """Raises AnalysisError for a table whose rows are partly in others that are not followed: the log tells them as
    those tables' rows.
    """
    oids = [table.oid for table in found if not table.is_partitioned]
    for parent, child in connection.execute(_CHILDREN, (oids, oids)):
        raise AnalysisError(
            f"The table {child} inherits from {parent}, and the stream does not follow it: its rows are rows of "
            f"{parent} too, but not in the log. Name {child} in the option `tables`, and all other such tables"
        )


def _root(connection: Any, oid: int) -> int:
    """Of a partition, the partitioned table: its changes are told as that one's."""
    ancestors = [row[0] for row in connection.execute(_ANCESTORS, (oid,))]
    return int(ancestors[-1]) if ancestors else oid


def _has_parts(connection: Any, table: PgTable, listed: Mapping[int, Any]) -> bool:
    """Whether it is a partitioned table of which the publication has the partitions."""
    if not table.is_partitioned:
        return False
    query = "SELECT relid::oid FROM pg_partition_tree(%s::oid) WHERE isleaf"
    leaves = [row[0] for row in connection.execute(query, (table.oid,))]
    return bool(leaves) and all(oid in listed for oid in leaves)


def publish(connection: Any, settings: CdcSettings, found: Following) -> None:
    """Make the publication if it is to be made. Raises AnalysisError where that would forbid updates of a table."""
    mute = [table for table in found.tables if not table.tells_old_rows]
    if found.published:
        for table in mute:
            _log.warning(
                "The table %s has no replica identity: PostgreSQL refuses its updates and deletes while a publication "
                "has them. ALTER TABLE %s REPLICA IDENTITY FULL",
                table.full_name,
                table.sql,
            )
        return
    if not settings.creates_publication:
        tables = ", ".join(table.sql for table in found.tables)
        raise AnalysisError(
            f"There is no publication {settings.publication}, and createPublication is false: "
            f"CREATE PUBLICATION {quoted(settings.publication)} FOR TABLE {tables} "
            "WITH (publish_via_partition_root = true)"
        )
    if mute:
        table = mute[0]
        raise AnalysisError(
            f"The table {table.full_name} has no primary key (one that is not deferrable) and no other replica "
            "identity, so PostgreSQL would refuse updates and deletes of it as soon as it is published. "
            f"ALTER TABLE {table.sql} REPLICA IDENTITY FULL; or, "
            f"for a table that only grows, CREATE PUBLICATION {quoted(settings.publication)} FOR TABLE {table.sql} "
            "WITH (publish = 'insert, truncate')"
        )
    tables = ", ".join(table.sql for table in found.tables)
    connection.execute(
        f"CREATE PUBLICATION {quoted(settings.publication)} FOR TABLE {tables} WITH (publish_via_partition_root = true)"
    )
