"""`format("postgres_incremental")`: the data source."""

from __future__ import annotations

from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader
from pyspark.sql.types import StructField, StructType

from riacho.connectors.postgres.client import connection, patiently
from riacho.connectors.postgres_incremental.reader import IncrementalReader, found_cursor
from riacho.connectors.postgres_incremental.settings import IncrementalSettings
from riacho.errors import UnsupportedOperationError


class PostgresIncrementalSource(DataSource):
    """New and changed rows of a table by a cursor. The schema is the table's as it is when the stream starts."""

    @classmethod
    def name(cls) -> str:
        return "postgres_incremental"

    def schema(self) -> StructType:
        settings = IncrementalSettings.of(self.options)
        cursor = patiently(settings.address, f"read the columns of {settings.table}", lambda: _cursor(settings))
        return StructType(
            [StructField(column.name, column.type.spark(settings.prefer_ntz)) for column in cursor.table.columns]
        )

    def streamReader(self, schema: StructType) -> IncrementalReader:  # noqa: N802 - Spark's name
        return IncrementalReader(IncrementalSettings.of(self.options), schema)

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002
        raise UnsupportedOperationError(
            'postgres_incremental is a stream: spark.readStream.format("postgres_incremental"). To read a table '
            'once, use format("jdbc")'
        )


def _cursor(settings: IncrementalSettings) -> Any:
    with connection(settings.address) as reader:
        return found_cursor(reader, settings)
