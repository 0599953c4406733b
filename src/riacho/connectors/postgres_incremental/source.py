"""`format("postgres_incremental")`: the data source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType

from riacho.connectors.postgres.bad_rows import read_again
from riacho.connectors.postgres.client import connection, patiently
from riacho.connectors.postgres_incremental.reader import IncrementalReader, batch_of, found_cursor
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

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """See `bad_records.Replayable`."""
        columns = to_arrow_schema(schema, timezone="UTC")

        def make(values: Mapping[str, Any]) -> pa.RecordBatch:
            texts = {name: pa.array([text], pa.string()) for name, text in values["texts"].items()}
            return batch_of(texts, 1, columns, "of the dead letter")

        return read_again(columns, raws, fail, make)

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002
        raise UnsupportedOperationError(
            'postgres_incremental is a stream: spark.readStream.format("postgres_incremental"). To read a table '
            'once, use format("jdbc")'
        )


def _cursor(settings: IncrementalSettings) -> Any:
    with connection(settings.address) as reader:
        return found_cursor(reader, settings)
