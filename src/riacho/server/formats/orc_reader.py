"""ORC files to Arrow, by Spark's rules for a file whose columns differ from the asked schema.

Types convert as `orc_types` says. How columns are found, and rescued: `column_mapping`; files whose columns are all
called `_col0`, `_col1` … (old Hive) are read by position. A time without a zone is one in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import orc

from riacho.errors import SparkGeneralError
from riacho.options import Option, Options
from riacho.server.formats.base import DamagedFileError, Decoded, DecoderContext, bare_rows, file_url
from riacho.server.formats.column_mapping import ColumnMapping, FileColumns, by_name_once, check_names, tell_new_columns
from riacho.server.formats.inputs import Input, input_of
from riacho.server.formats.modes import in_file
from riacho.server.formats.nested_columns import Convert
from riacho.server.formats.options import ORC, ignores_damage
from riacho.server.formats.orc_types import converter, spark_type
from riacho.server.formats.parquet_reader import BATCH_ROWS, merge_schemas
from riacho.types import nullable, type_to_ddl


@dataclass(frozen=True)
class OrcDecoder:
    """Reads ORC files into `schema`. `full`: with the columns that are not used, by whose positions old files go."""

    schema: pa.Schema
    full: pa.Schema
    context: DecoderContext

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order; none if the file is empty, as in Spark.

        Raises FAILED_READ_FILE.NO_HINT for a column of another type, and as a `DamagedFileError` for what is no whole
        ORC file.
        """
        given = input_of(path)
        if given.size == 0:
            return
        url = file_url(path)
        try:
            file = orc.ORCFile(given.arrow())
            found = pa.schema(list(file.schema))
            tell_new_columns(self.context, self.full, path, found)
            plan = ColumnMapping.of(self.schema, self.context.rescued_column, self._columns(url, found))
            if not plan.columns:
                yield from self._without_columns(file.nrows)
                return
            for stripe in range(file.nstripes):
                batch = file.read_stripe(stripe, columns=plan.columns)
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield plan.apply(batch.slice(start, BATCH_ROWS))
        except (pa.ArrowException, OSError) as error:
            raise DamagedFileError.of_file(url, error) from error

    def _without_columns(self, rows: int) -> Decoded:
        if not len(self.schema):
            yield from bare_rows(rows).to_batches()
        elif rows:
            yield pa.record_batch([pa.nulls(rows, field.type) for field in self.schema], schema=self.schema)

    def _columns(self, url: str, found: pa.Schema) -> FileColumns:
        def convert(source: pa.Field, target: pa.Field) -> Convert:
            return converter(source.type, target.type)

        def misfit(source: pa.Field, target: pa.Field) -> SparkGeneralError:
            cause = SparkGeneralError(
                f"ORC column [{source.name}] of the type {type_to_ddl(spark_type(source.type, source.metadata))} "
                f"cannot be read as {type_to_ddl(target.type)}."
            )
            return in_file(cause, url)

        return FileColumns(url, found, convert, misfit, self._source(url, found))

    def _source(self, url: str, found: pa.Schema) -> Callable[[pa.Field], pa.Field | None]:
        """How the file's column for an asked one is found. Raises FAILED_READ_FILE.NO_HINT for too many positions."""
        if found.names and all(name.startswith("_col") for name in found.names):
            if len(found) > len(self.full):
                raise in_file(
                    SparkGeneralError(
                        f"The given data schema {type_to_ddl(pa.struct(list(self.full)))} has fewer fields than the "
                        f"actual ORC physical schema of {len(found)} columns without names."
                    ),
                    url,
                )
            return lambda field: found.field(at) if (at := self.full.get_field_index(field.name)) < len(found) else None
        return by_name_once(url, found)


@dataclass(frozen=True)
class OrcFormat:
    """The `orc` format."""

    name: str = "orc"
    table: tuple[Option, ...] = ORC

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> OrcDecoder:
        del options
        return OrcDecoder(context.used(schema), schema, context)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        """The columns of the first file that is not empty, or of all with `mergeSchema`.

        Raises DamagedFileError, unless damaged files are ignored, COLUMN_ALREADY_EXISTS, CANNOT_MERGE_SCHEMAS.
        """
        schemas: list[pa.Schema] = []
        for path in paths:
            if schemas and not options.flag("mergeSchema"):
                break
            given = input_of(path)
            if given.size:
                schemas += _read_schema(given, ignore=ignores_damage(options))
        return merge_schemas(schemas) if schemas else pa.schema([])


def _read_schema(given: Input, *, ignore: bool) -> list[pa.Schema]:
    """The columns of one file as Spark types, all nullable; none if it is damaged and that is ignored."""
    try:
        found = orc.ORCFile(given.arrow()).schema
    except (pa.ArrowException, OSError) as error:
        if ignore:
            return []
        raise DamagedFileError.of_file(file_url(given.path), error) from error
    check_names(found)
    return [nullable(pa.schema([pa.field(f.name, spark_type(f.type, f.metadata)) for f in found]))]
