"""A column of Avro messages as values: `from_avro`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.server.formats.avro.cursors import Flags, cursors_of
from riacho.server.formats.avro.options import AvroOptions
from riacho.server.formats.avro.readers import with_nulls
from riacho.server.formats.avro.resolution import reader_of
from riacho.server.formats.avro.schema import parse
from riacho.server.formats.avro.sql_types import result_type
from riacho.types import normalise, type_to_ddl

MALFORMED: Final = (
    "Malformed records are detected in record parsing. Current parse Mode: FAILFAST. To process malformed records as "
    "null result, try setting the option 'mode' as 'PERMISSIVE'."
)
_CUTOVER: Final = -141427
"""The day on which the Gregorian calendar began, 1582-10-15, in days since the epoch."""
_DAY_US: Final = 86_400_000_000


class AvroDecoder:
    """Reads messages of one schema. Raises SparkError for a schema or an option that is none."""

    def __init__(self, schema: str, options: Mapping[str, str], function: str = "from_avro") -> None:
        self._options = AvroOptions.read(function, options)
        writer = parse(schema)
        reader = self._options.reader or writer
        self.type = result_type(reader, self._options)
        self._reader = reader_of(writer, reader, self.type, self._options)
        # A union of one type and null may be null as a field; as a whole message it is damaged, to Spark.
        self._needs_value = reader.has_null and len(reader.known) == 1

    def decode(self, column: pa.Array) -> pa.Array:
        """The values of a BINARY column's messages; null for null. Bytes behind a message are not looked at.

        Raises SparkGeneralError for a damaged message, unless the mode is PERMISSIVE.
        """
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), self.type)
        if normalise(column.type) != pa.binary():
            raise AnalysisError.of(
                "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
                'Cannot resolve "from_avro" due to data type mismatch: The first parameter requires the "BINARY" type, '
                f'however it has the type "{type_to_ddl(column.type)}".',
                sql_state="42K09",
            )
        cursors, nulls = cursors_of(column)
        found = self._reader.read(cursors)
        bad = cursors.bad
        if self._needs_value and found.null_count:
            bad = bad | found.is_null().to_numpy(zero_copy_only=False)
        if nulls is not None:
            bad = bad & ~nulls
        if self._options.refuse_ancient:
            bad = bad | ancient(found)
        if bad.any():
            if not self._options.permissive:
                raise SparkGeneralError(MALFORMED)
            found = _without(found, bad)
        return found if nulls is None else _null_where(found, nulls)


def _without(found: pa.Array, bad: Flags) -> pa.Array:
    """Null in place of damaged messages: each field of a struct, not the struct, as in Spark."""
    if pa.types.is_struct(found.type) and found.type.num_fields:
        columns = [_null_where(found.field(at), bad) for at in range(found.type.num_fields)]
        nulls = found.is_null().to_numpy(zero_copy_only=False) & ~bad
        return pa.StructArray.from_arrays(columns, fields=list(found.type), mask=pa.array(nulls))
    return _null_where(found, bad)


def _null_where(found: pa.Array, where: Flags) -> pa.Array:
    if not found.null_count:
        return with_nulls(found, where)
    return found.take(pa.array(np.arange(len(found)), mask=where))


def ancient(found: pa.Array) -> Flags:
    """Which rows have a date or a time before the Gregorian calendar, on the levels of structs."""
    kind = found.type
    if pa.types.is_struct(kind):
        flags = np.zeros(len(found), np.bool_)
        for at in range(kind.num_fields):
            flags |= ancient(found.field(at))
        return flags
    if not (pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None)):
        return np.zeros(len(found), np.bool_)
    days = pa.types.is_date(kind)
    values = found.view(pa.int32() if days else pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(values < (_CUTOVER if days else _CUTOVER * _DAY_US), np.bool_)


@lru_cache(maxsize=256)
def decoder(schema: str, options: tuple[tuple[str, str], ...]) -> AvroDecoder:
    """The decoder of a schema and its options, made once. Raises as `AvroDecoder`."""
    return AvroDecoder(schema, dict(options))
