"""Which class a format's name means. Nothing is imported for it: only the process that runs a connector loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ON_ANY_SPARK: Final[tuple[str, ...]] = ("rest", "faker", "postgres_cdc", "postgres_incremental", "ingest")
"""The connectors that Spark has no name for: these run on any Spark server after `register`."""

_MONGO: Final = "riacho.connectors.mongodb.source:MongoSource"

CLASSES: Final[Mapping[str, str]] = {
    "faker": "riacho.connectors.faker:FakerDataSource",
    "postgres_incremental": "riacho.connectors.postgres_incremental.source:PostgresIncrementalSource",
    "postgres_cdc": "riacho.connectors.postgres_cdc.source:PostgresCdcSource",
    "jdbc": "riacho.connectors.jdbc.source:JdbcSource",
    "ingest": "riacho.connectors.ingest.source:IngestDataSource",
    "rest": "riacho.connectors.rest:RestDataSource",
    "mongodb": _MONGO,
    "mongo": _MONGO,
    "com.mongodb.spark.sql": _MONGO,
    "com.mongodb.spark.sql.defaultsource": _MONGO,
    "com.mongodb.spark.sql.connector.mongotableprovider": _MONGO,
}
"""`module:class` by the format's name in lower case. What Spark has a connector of its own for (`jdbc`, `mongodb`) has
the same name and the same options here."""

BAD_DATA_LOCATION: Final = "__bad_data_location"
"""The option in which riacho's server tells a connector where the table of `bad_data_table` lies."""
INGEST_FOLDER: Final = "__ingest_folder"
"""The option in which it tells where the logs of its ingest endpoints lie."""

SLOW: Final[Mapping[str, str]] = {_MONGO: "riacho.connectors.mongodb.loaded"}
"""A module that imports what takes long to import of a connector; riacho loads it once for all workers."""
