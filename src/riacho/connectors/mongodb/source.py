"""`format("mongodb")`: the data source that PySpark knows, and which reader or writer is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamArrowWriter,
    DataSourceStreamReader,
    DataSourceWriter,
)
from pyspark.sql.types import StructType

from riacho.connectors.mongodb.options import MongoOptions
from riacho.errors import AnalysisError
from riacho.extras import require

if TYPE_CHECKING:
    import pyarrow as pa

    from riacho.connectors.mongodb.infer import MongoInference


class MongoSource(DataSource):
    """MongoDB as a source and a sink."""

    session_conf_prefixes = ("spark.mongodb.",)

    @classmethod
    def name(cls) -> str:
        return "mongodb"

    def schema(self) -> StructType:
        """What a sample of the documents has. Raises IllegalArgumentError, SparkGeneralError."""
        options = self._reads()
        from bson import decode_all

        from riacho.connectors.mongodb import client
        from riacho.connectors.mongodb.convert import CODEC
        from riacho.connectors.mongodb.reader import raw_batches

        collections, database = options.collections, options.database
        size = options.options.positive("sampleSize") or 1
        stages = [*options.pipeline(), {"$sample": {"size": size}}]
        found = []
        with (
            client.told(options.uri, f"Inferring the schema of {database}.{collections.shown}"),
            client.connect(options.uri) as connection,
        ):
            names = collections.names or sorted(connection[database].list_collection_names())
            for name in names:
                for raw in raw_batches(connection[database][name], stages, options):
                    found += decode_all(raw, CODEC)
        return _inference(options).schema(found)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Raises IllegalArgumentError, and AnalysisError without pymongo."""
        from riacho.connectors.mongodb.reader import MongoReader

        return MongoReader(self._reads(), schema)

    def writerForMode(self, schema: StructType, mode: str) -> DataSourceWriter:
        """A writer for `append` and `overwrite`, which empties the collection. Raises AnalysisError for others."""
        if mode not in ("append", "overwrite"):
            shown = {"error": "ErrorIfExists", "ignore": "Ignore"}[mode]
            raise AnalysisError.of(
                "UNSUPPORTED_DATA_SOURCE_SAVE_MODE",
                f'The data source "mongodb" cannot be written in the "{shown}" mode. Please use either the "Append" or '
                '"Overwrite" mode instead.',
                sql_state="0A000",
                source="mongodb",
                createMode=f'"{shown}"',
            )
        return self.writer(schema, mode == "overwrite")

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:  # noqa: ARG002 - as PySpark calls it
        from riacho.connectors.mongodb.writer import MongoWrite, MongoWriter

        write = MongoWrite.of(self._writes())
        if overwrite:
            write.empty()
        return MongoWriter(write)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        from riacho.connectors.mongodb.changes import MongoStreamReader

        return MongoStreamReader(self._reads(), schema)

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamArrowWriter:
        from riacho.connectors.mongodb.writer import MongoStreamWriter, MongoWrite

        return MongoStreamWriter(MongoWrite.of(self._writes()), schema, overwrite=overwrite)

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """See `bad_records.Replayable`: letters are documents in extended JSON."""
        import pyarrow as pa

        from riacho.connectors.mongodb.convert import DROPMALFORMED, Conversion
        from riacho.connectors.mongodb.extended_json import parse

        extended = MongoOptions.read(self.options).options.flag("outputExtendedJson")
        conversion = Conversion(schema, DROPMALFORMED, extended_json=extended)
        batch = conversion.batch([parse(raw.decode()) for raw in raws])
        for at, why in conversion.misfits.items():
            fail(at, why)
        return pa.Table.from_batches([batch])

    def _reads(self) -> MongoOptions:
        require("pymongo", "mongodb", 'format("mongodb")')
        return MongoOptions.read(self.options)

    def _writes(self) -> MongoOptions:
        require("pymongo", "mongodb", 'format("mongodb")')
        return MongoOptions.write(self.options)


def _inference(options: MongoOptions) -> MongoInference:
    from riacho.connectors.mongodb.hints import hinted
    from riacho.connectors.mongodb.infer import MongoInference
    from riacho.connectors.mongodb.reader import corrupt_column

    given = options.options
    maps = given.flag("sql.inferSchema.mapTypes.enabled")
    least = given.positive("sql.inferSchema.mapTypes.minimum.key.size") or 1
    hints = hinted(given.text("schemaHints"))
    return MongoInference(least if maps else None, hints, corrupt_column(options))
