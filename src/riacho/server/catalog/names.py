"""Names: how they are read, made full, compared and turned into folders. Source: Spark's `SessionCatalog`.

Spark's session catalog keeps names in lower case and finds them whatever their case; only letters, digits and `_` may
stand in them, so a name can be a folder's name as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from riacho.errors import AnalysisError
from riacho.identifiers import quoted
from riacho.server.catalog.base import CATALOG_NAME, DEFAULT_DATABASE, TableName
from riacho.server.sql.cursor import dotted_name
from riacho.storage import delta_place

DATABASE_SUFFIX = ".db"
_VALID = re.compile(r"\w+", re.ASCII)


def qualify(parts: Sequence[str] | str, current_database: str = DEFAULT_DATABASE) -> TableName:
    """A full name from one to three parts, in lower case, but ``delta.`/Path` ``, whose case is kept.

    Raises REQUIRES_SINGLE_PART_NAMESPACE, ParseError, and as `place_of`.
    """
    given = dotted_name(parts) if isinstance(parts, str) else tuple(parts)
    if (path := delta_place(given)) is not None:
        return TableName(CATALOG_NAME, "delta", str(path))
    lowered = tuple(part.lower() for part in given)
    match lowered:
        case (table,):
            return TableName(CATALOG_NAME, current_database.lower(), table)
        case (database, table):
            return TableName(CATALOG_NAME, database, table)
        case (catalog, database, table) if catalog == CATALOG_NAME:
            return TableName(CATALOG_NAME, database, table)
    raise AnalysisError.of(
        "REQUIRES_SINGLE_PART_NAMESPACE",
        f"{CATALOG_NAME} requires a single-part namespace, but got identifier {quoted(given)}.",
        sql_state="42K05",
        sessionCatalog=CATALOG_NAME,
        identifier=quoted(given),
    )


def database_name(parts: Sequence[str] | str) -> str:
    """The database that one or two parts name, in lower case. Raises as `qualify`."""
    given = dotted_name(parts) if isinstance(parts, str) else tuple(parts)
    return qualify([*given, "_"]).database


def require_valid(name: str) -> None:
    """Refuse what Spark's catalog refuses as a name of a database or table. Raises INVALID_SCHEMA_OR_RELATION_NAME."""
    if not _VALID.fullmatch(name):
        raise AnalysisError.of(
            "INVALID_SCHEMA_OR_RELATION_NAME",
            f"`{name}` is not a valid name for tables/schemas. Valid names only contain alphabet characters, numbers "
            "and _.",
            sql_state="42602",
            name=f"`{name}`",
        )


def short(name: TableName) -> str:
    """A name without its catalog as Spark's messages print it."""
    return quoted((name.database, name.table))


def full(name: TableName) -> str:
    """A full name as Spark's messages print it."""
    return quoted((name.catalog, name.database, name.table))
