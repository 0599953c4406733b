"""What formats are called (`format(…)`, `USING`), and what is said of one that cannot be had.

Source: `org.apache.spark.sql.execution.datasources.DataSource.lookupDataSource`.
"""

from __future__ import annotations

from typing import Final

from riacho.errors import AnalysisError, ClassNotFoundError, UnsupportedOperationError

_LONG_NAMES: Final = {
    **{
        f"org.apache.spark.sql.{package}{form}": form
        for form in ("json", "parquet")
        for package in ("", "execution.datasources.")
    },
    **{
        f"org.apache.spark.sql.execution.datasources.{form}.{form}fileformat": form
        for form in ("csv", "json", "orc", "parquet", "text")
    },
    "com.databricks.spark.avro": "avro",
    "com.databricks.spark.csv": "csv",
    "com.databricks.spark.xml": "xml",
    "org.apache.spark.sql.delta.sources.deltadatasource": "delta",
    "org.apache.spark.sql.execution.datasources.jdbc": "jdbc",
    "org.apache.spark.sql.execution.datasources.jdbc.jdbcrelationprovider": "jdbc",
    "org.apache.spark.sql.jdbc": "jdbc",
    "org.apache.spark.sql.kafka010.kafkasourceprovider": "kafka",
}
"""Class names that programs use, in lower case and without `.DefaultSource` at the end."""

_NOT_YET: Final = frozenset(
    {
        "avro", "binaryfile", "hive", "image", "jdbc", "kafka", "libsvm", "orc", "statestore", "xml",
        "bigquery", "cassandra", "clickhouse", "cosmos.oltp", "deltasharing", "dynamodb", "elasticsearch", "es",
        "eventhubs", "excel", "hudi", "iceberg", "kinesis", "mongo", "mongodb", "mysql", "neo4j", "oracle",
        "postgresql", "pubsub", "pulsar", "redis", "redshift", "sftp", "snowflake", "sqlserver",
        "com.crealytics.spark.excel", "com.google.cloud.spark.bigquery", "com.microsoft.sqlserver.jdbc.spark",
        "com.mongodb.spark.sql", "com.mongodb.spark.sql.connector.mongotableprovider",
        "io.github.spark_redshift_community.spark.redshift", "net.snowflake.spark.snowflake", "org.apache.hudi",
        "org.apache.spark.sql.cassandra", "org.elasticsearch.spark.sql",
    }
)  # fmt: skip
"""Formats that Spark has, alone or with a connector, and of which riacho may not have reading or writing."""

STREAMS_ONLY: Final = frozenset({"console", "noop", "rate", "rate-micro-batch", "socket"})
"""Formats that no batch can read."""


def short_name(name: str) -> str:
    """A format by the name that registries have: in lower case, and short where Spark takes a longer one too."""
    lowered = name.lower()
    plain = lowered.removesuffix(".defaultsource")
    return _LONG_NAMES.get(plain, lowered)


def data_source_not_found(name: str) -> ClassNotFoundError:
    """There is no such format, or not for what is to be done. `name`: as the user spelled it."""
    known = short_name(name).removesuffix(".defaultsource") in _NOT_YET
    return ClassNotFoundError.of(
        "DATA_SOURCE_NOT_FOUND",
        f"Failed to find the data source: {name}. Make sure the provider name is correct and the package is properly "
        "registered and compatible with your Spark version."
        + (" Spark has it, or a connector for Spark; riacho does not have it yet, or not for this." if known else ""),
        sql_state="42K02",
        provider=name,
    )


def not_for_batches(name: str) -> AnalysisError:
    """A batch cannot read it."""
    return AnalysisError(f"{name} is not a valid Spark SQL Data Source.")


def not_for_streams(name: str, what: str) -> UnsupportedOperationError:
    """It is a format, but not for streams. `what`: "reading" or "writing"."""
    return UnsupportedOperationError(f"Data source {name} does not support streamed {what}.")
