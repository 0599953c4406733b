"""The data source that `format("jdbc")` means."""

from __future__ import annotations

from typing import ClassVar

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceWriter
from pyspark.sql.types import StructType

from riacho.connectors.jdbc import databases
from riacho.connectors.jdbc.options import CONFS, JdbcOptions, checked
from riacho.connectors.jdbc.read import JdbcReader
from riacho.connectors.jdbc.write import writer_of


class JdbcSource(DataSource):
    """Tables and queries of SQL databases. Raises Spark's errors for options that contradict themselves."""

    session_conf_prefixes: ClassVar[tuple[str, ...]] = CONFS

    @classmethod
    def name(cls) -> str:
        return "jdbc"

    def schema(self) -> StructType:
        options = self._checked()
        with databases.opened(options, databases.address_of(options)) as connection:
            return databases.schema_of(databases.columns(connection, options))

    def reader(self, schema: StructType) -> DataSourceReader:
        return JdbcReader(self._checked(), schema)

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        writer = self.writerForMode(schema, "overwrite" if overwrite else "append")
        assert writer is not None
        return writer

    def writerForMode(self, schema: StructType, mode: str) -> DataSourceWriter | None:  # noqa: N802 - what riacho calls
        """Make the table ready as the save mode says, and give what fills it; None if there is nothing to write."""
        return writer_of(self._checked(), schema, mode)

    def _checked(self) -> JdbcOptions:
        return checked(dict(self.options))
