"""Which class a format's name means. Nothing is imported for it: only the process that runs a connector loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ON_ANY_SPARK: Final[tuple[str, ...]] = ("rest", "faker", "postgres_cdc", "postgres_incremental")
"""The connectors that Spark has no name for: these run on any Spark server after `register`."""

_MONGO: Final = "riacho.connectors.mongodb.source:MongoSource"

CLASSES: Final[Mapping[str, str]] = {
    "faker": "riacho.connectors.faker:FakerDataSource",
    "postgres_incremental": "riacho.connectors.postgres_incremental.source:PostgresIncrementalSource",
    "postgres_cdc": "riacho.connectors.postgres_cdc.source:PostgresCdcSource",
    "jdbc": "riacho.connectors.jdbc.source:JdbcSource",
    "rest": "riacho.connectors.rest:RestDataSource",
    "mongodb": _MONGO,
    "mongo": _MONGO,
    "com.mongodb.spark.sql": _MONGO,
    "com.mongodb.spark.sql.defaultsource": _MONGO,
    "com.mongodb.spark.sql.connector.mongotableprovider": _MONGO,
}
"""`module:class` by the format's name in lower case. What Spark has a connector of its own for (`jdbc`, `mongodb`) has
the same name and the same options here."""
