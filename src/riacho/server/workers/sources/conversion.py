"""The rows of a reader as Arrow batches: what PySpark's own worker makes of them, with less work for a row.

Tuples and named rows, which nearly all readers give, become columns at once; values that PySpark leaves as they are go
into Arrow as they are. Everything else, and with it everything that is wrong, goes through PySpark's own function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import pyarrow as pa
from pyspark.sql.conversion import LocalDataToArrowConversion
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, DataType, Row, StringType, StructType
from pyspark.sql.worker.plan_data_source_read import records_to_arrow_batches

BATCH_ROWS: Final = 10_000
"""As many rows are taken from a reader at a time (Spark: `spark.sql.execution.arrow.maxRecordsPerBatch`)."""

_converter: Final[Any] = LocalDataToArrowConversion._create_converter  # noqa: SLF001 - what PySpark's own worker uses
_NONE: Final = type(None)
_AS_THEY_ARE: Final[dict[type[DataType], set[type]]] = {StringType: {str, _NONE}, BinaryType: {bytes, _NONE}}
"""Values that their type's converter gives back as they are."""


def to_batches(rows: Iterator[Any], schema: StructType, source: Any) -> Iterator[pa.RecordBatch]:
    """`rows` as batches with the columns of `schema`; `source` is named in errors. Raises what PySpark raises."""
    arrow = to_arrow_schema(schema, timezone="UTC")
    columns = [_Column(field.dataType, arrow_field.type) for field, arrow_field in zip(schema, arrow, strict=True)]
    names = schema.fieldNames()
    for first in rows:
        if isinstance(first, pa.RecordBatch):
            yield from records_to_arrow_batches(chain([first], rows), BATCH_ROWS, schema, source)
            return
        taken = [first, *islice(rows, BATCH_ROWS - 1)]
        if columns and _are_plain(taken, names):
            arrays = [column.array(values) for column, values in zip(columns, zip(*taken, strict=True), strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=arrow)
        else:
            yield from records_to_arrow_batches(iter(taken), BATCH_ROWS, schema, source)


def _are_plain(rows: Sequence[Any], names: list[str]) -> bool:
    """Whether all have the values of all columns in the order of the columns."""
    kinds = set(map(type, rows))
    if kinds == {Row}:
        return all(getattr(row, "__fields__", None) == names for row in rows) and _are_long(rows, len(names))
    return kinds <= {tuple, list} and _are_long(rows, len(names))


def _are_long(rows: Sequence[Any], length: int) -> bool:
    return set(map(len, rows)) == {length}


class _Column:
    """How the values of a column become an array."""

    def __init__(self, spark: DataType, arrow: pa.DataType) -> None:
        self._arrow = arrow
        self._convert: Callable[[Any], Any] | None = _converter(spark, none_on_identity=True)
        self._as_they_are = _AS_THEY_ARE.get(type(spark), set())

    def array(self, values: tuple[Any, ...]) -> pa.Array:
        if self._convert is None or set(map(type, values)) <= self._as_they_are:
            return pa.array(values, self._arrow)
        return pa.array(list(map(self._convert, values)), self._arrow)
