"""`format("postgres_cdc")`: the data source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader
from pyspark.sql.types import StructType

from riacho.connectors.postgres.bad_rows import read_again
from riacho.connectors.postgres.client import connection, patiently
from riacho.connectors.postgres_cdc.publications import Following, following
from riacho.connectors.postgres_cdc.reader import ChangeReader
from riacho.connectors.postgres_cdc.settings import CdcSettings
from riacho.connectors.postgres_cdc.shape import ChangeShape, schema_of
from riacho.errors import UnsupportedOperationError


class PostgresCdcSource(DataSource):
    """Changes of PostgreSQL's tables. The schema is the tables', as they are when it starts, unless one is given."""

    _own_schema = False

    @classmethod
    def name(cls) -> str:
        return "postgres_cdc"

    def schema(self) -> StructType:
        self._own_schema = True
        settings = CdcSettings.of(self.options)
        found = patiently(settings.address, "read the tables' columns", lambda: _following(settings))
        return schema_of(found.tables, settings.prefix, before=settings.before, prefer_ntz=settings.prefer_ntz)

    def streamReader(self, schema: StructType) -> ChangeReader:  # noqa: N802 - Spark's name
        return ChangeReader(CdcSettings.of(self.options), schema, own_schema=self._own_schema)

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """See `bad_records.Replayable`."""
        shape = ChangeShape(schema, self.options.get("metadataPrefix", "_"))
        return read_again(shape.schema, raws, fail, shape.again)

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002
        raise UnsupportedOperationError(
            'postgres_cdc is a stream: spark.readStream.format("postgres_cdc"). To read a table once, use '
            'format("jdbc"), or the stream with snapshotMode = only and trigger(availableNow=True)'
        )


def _following(settings: CdcSettings) -> Any:
    found: Following
    with connection(settings.address) as reader:
        found = following(reader, settings)
    return found
