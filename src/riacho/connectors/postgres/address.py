"""Where a database is and who one is there: options, URLs as people have them, PostgreSQL's own environment.

What no option says, libpq takes from its environment, in the process that connects: `PGHOST`, `PGPORT`, `PGDATABASE`,
`PGUSER`, `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE` and the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from riacho.connectors.jdbc.postgres_url import translated
from riacho.errors import DatabaseError, IllegalArgumentError
from riacho.extras import require
from riacho.options import Option, Options

_JDBC: Final = "jdbc:postgresql:"
ADDRESS: Final[tuple[Option, ...]] = (
    Option("url", None, "`postgresql://user:password@host:port/database?sslmode=…`, or as `jdbc:postgresql://…`"),
    Option("host", None, "goes before the URL's; by default `PGHOST` where the reader runs"),
    Option("port", None, "goes before the URL's; by default `PGPORT`, or 5432"),
    Option("database", None, "goes before the URL's; by default `PGDATABASE`", ("dbname",)),
    Option("user", None, "goes before the URL's; by default `PGUSER`"),
    Option("password", None, "goes before the URL's; by default `PGPASSWORD` or the file `PGPASSFILE`"),
    Option("sslmode", None, "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`; by default `PGSSLMODE`"),
    Option("sslrootcert", None, "a file with the certificates that the server's is checked by"),
    Option("connectTimeout", "10s", "how long a connection may take"),
    Option("statementTimeout", "15m", "how long a statement may take"),
    Option("retryTimeout", "60s", "how long a server that is gone is waited for"),
)  # fmt: skip
"""The options of every connector to PostgreSQL."""


@dataclass(frozen=True)
class PgAddress:
    """How to connect. `parameters` are libpq's own, and hold the password: they are for the driver alone."""

    connect_s: int
    statement_ms: int
    retry_s: float
    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, options: Options) -> PgAddress:
        """Raises IllegalArgumentError for a URL that is none, without its text: it may hold a password."""
        found = _of_url(options.text("url"))
        for name, option in (
            ("host", "host"),
            ("port", "port"),
            ("dbname", "database"),
            ("user", "user"),
            ("password", "password"),
            ("sslmode", "sslmode"),
            ("sslrootcert", "sslrootcert"),
        ):
            if (value := options.maybe(option)) is not None:
                found[name] = value
        if not found.get("port", "0").isdigit():
            raise options.illegal("port", found["port"], "must be a number")
        return cls(
            connect_s=max((options.duration_ms("connectTimeout") or 0) // 1000, 2),
            statement_ms=options.duration_ms("statementTimeout") or 0,
            retry_s=(options.duration_ms("retryTimeout") or 0) / 1000,
            parameters=found,
        )

    @property
    def shown(self) -> str:
        """For errors and logs: no password, and no user."""
        at = self.parameters.get("host", "the server of PGHOST")
        port, database = self.parameters.get("port"), self.parameters.get("dbname")
        return at + (f":{port}" if port else "") + (f"/{database}" if database else "")


def _of_url(url: str) -> dict[str, str]:
    """The parameters of libpq that a URL has, JDBC's as the JDBC source reads them."""
    if not url:
        return {}
    if url.lower().startswith(_JDBC):
        try:
            url, _ = translated(url[len(_JDBC) :], {})
        except DatabaseError:
            raise _no_url() from None
    if not url.lower().startswith(("postgresql://", "postgres://")):
        raise _no_url()
    psycopg = require("psycopg", "postgres", "The PostgreSQL connector")
    try:
        found: dict[str, str] = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise _no_url() from None
    # What comes after an unescaped slash in a password is taken for a port or a database: neither may be shown.
    ports = found.get("port", "").split(",")
    if not all(port == "" or port.isdecimal() for port in ports) or "@" in found.get("dbname", ""):
        raise _no_url()
    return {name: value for name, value in found.items() if value}


def _no_url() -> IllegalArgumentError:
    return IllegalArgumentError(
        "Invalid value for option 'url' (not shown, for it may hold a password), must be like "
        "postgresql://user:password@host:5432/database or jdbc:postgresql://host:5432/database. In a URL a password's "
        "/ is written %2F, its @ %40, its : %3A and its % %25; or give the options user and password"
    )
