"""JDBC URLs and the classes of JDBC drivers: which database is meant.

The text of a URL may hold a password: nothing here puts it into an error or a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from riacho.connectors.jdbc import postgres_url
from riacho.connectors.jdbc.errors import DriverError, not_connected
from riacho.errors import ClassNotFoundError, DatabaseError, UnsupportedOperationError

POSTGRES: Final = "postgresql"
SQLITE: Final = "sqlite"
_HERE: Final = {POSTGRES, SQLITE}

_DRIVERS: Final[Mapping[str, str]] = {
    "org.postgresql.Driver": POSTGRES,
    "org.sqlite.JDBC": SQLITE,
    "com.mysql.jdbc.Driver": "mysql",
    "com.mysql.cj.jdbc.Driver": "mysql",
    "org.mariadb.jdbc.Driver": "mariadb",
    "com.microsoft.sqlserver.jdbc.SQLServerDriver": "sqlserver",
    "oracle.jdbc.OracleDriver": "oracle",
    "oracle.jdbc.driver.OracleDriver": "oracle",
    "com.ibm.db2.jcc.DB2Driver": "db2",
    "org.h2.Driver": "h2",
    "net.snowflake.client.jdbc.SnowflakeDriver": "snowflake",
    "com.databricks.client.jdbc.Driver": "databricks",
    "com.amazon.redshift.jdbc42.Driver": "redshift",
    "com.clickhouse.jdbc.ClickHouseDriver": "clickhouse",
    "org.duckdb.DuckDBDriver": "duckdb",
}
"""The kind of database by the class of its JDBC driver."""

_WAYS_OUT: Final[Mapping[str, str]] = {
    "mysql": "export the tables to Parquet or CSV files, or read them in a Python data source with a MySQL client",
    "mariadb": "export the tables to Parquet or CSV files, or read them in a Python data source with its client",
}


@dataclass(frozen=True)
class Address:
    """Where a database is. `uri`: what its ADBC driver connects to; it may hold a password, and is never shown.

    `settings`: what the URL and the properties ask of riacho itself, such as PostgreSQL's `stringtype`.
    """

    kind: str
    uri: str = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


def address(url: str, driver: str | None, properties: Mapping[str, str]) -> Address:
    """The database of a URL.

    Raises ClassNotFoundError for a driver that nobody knows, UnsupportedOperationError for a database that riacho has
    no driver for, DatabaseError ("No suitable driver") for what is no JDBC URL.
    """
    if driver is not None and driver not in _DRIVERS:
        raise ClassNotFoundError(driver)
    scheme, _, rest = url.partition(":")
    kind, _, body = rest.partition(":")
    if scheme.lower() != "jdbc" or not body:
        raise DatabaseError("No suitable driver")
    kind = kind.lower()
    if driver is not None and _DRIVERS[driver] != kind and {kind, _DRIVERS[driver]} <= _HERE:
        raise not_connected(kind, DriverError(f"the driver {driver} does not know such URLs"))
    if kind == POSTGRES:
        uri, settings = postgres_url.translated(body, properties)
        return Address(POSTGRES, uri, settings)
    if kind == SQLITE:
        path, _, query = body.partition("?")
        return Address(SQLITE, path, dict(part.partition("=")[::2] for part in query.split("&") if part))
    if kind in set(_DRIVERS.values()):
        way = _WAYS_OUT.get(kind, "export the tables to Parquet or CSV files, or write a Python data source")
        raise UnsupportedOperationError(
            f"riacho cannot reach {kind} databases: there is no ADBC driver for them on PyPI that riacho could use, "
            f"and it runs no JDBC drivers. PostgreSQL and SQLite are there. The way out: {way}."
        )
    raise DatabaseError("No suitable driver")
