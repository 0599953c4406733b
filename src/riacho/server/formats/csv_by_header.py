"""CSV files whose header says which column is which, for sources with a rescue column.

Spark reads CSV columns by position, whatever the header says. A landing folder is read for years, and a file with a
column added in the middle must not shift the others; so here columns are found by name, and those that no field takes
go to the rescue column.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.options import Options
from riacho.server.formats.base import Decoded, DecoderContext, file_url
from riacho.server.formats.csv_infer import column_names
from riacho.server.formats.csv_reader import CsvDecoder, tokens_of
from riacho.server.formats.csv_tokens import Dialect
from riacho.server.formats.modes import corrupt_column
from riacho.server.formats.rescue import Rescued, json_text


@dataclass(frozen=True)
class CsvByHeader:
    """Reads CSV files into `schema`. `context` has a rescue column."""

    schema: pa.Schema
    options: Options
    context: DecoderContext

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order. Raises as `corrupt_column` and `Decoder.decode`."""
        header = next(tokens_of(path, self.options, Dialect.of(self.options)), [])
        own = {self.context.rescued_column, corrupt_column(self.schema, self.options)}
        known = {field.name.lower(): field for field in self.schema if field.name not in own}
        names = column_names(header, self.options)
        unknown = [name for name in names if name.lower() not in known]
        if unknown and self.context.new_columns is not None:
            self.context.new_columns(path, unknown)
        in_file = [known.get(name.lower(), pa.field(name, pa.string())) for name in names]
        inner = CsvDecoder.of(
            pa.schema([*in_file, *(field for field in self.schema if field.name in own)]), self.options, self.context
        )
        for batch in inner.decode(path):
            yield self._arranged(batch, unknown, file_url(path))

    def _arranged(self, batch: pa.RecordBatch, unknown: Sequence[str], url: str) -> pa.RecordBatch:
        """The columns of the schema; what stands in `unknown` columns goes to the rescue column."""
        columns = []
        for field in self.schema:
            if field.name == self.context.rescued_column and unknown:
                columns.append(_rescued(batch, field.name, unknown, url))
            elif field.name in batch.schema.names:
                columns.append(batch.column(field.name))
            else:
                columns.append(pa.nulls(batch.num_rows, field.type))
        return pa.record_batch(columns, schema=self.schema)


def _rescued(batch: pa.RecordBatch, column: str, unknown: Sequence[str], url: str) -> pa.Array:
    """What each row has lost already, and its values in `unknown` columns."""
    rescued = Rescued(url)
    for row in batch.select([column, *unknown]).to_pylist():
        lost = json.loads(row.pop(column) or "{}")
        lost.pop("_file_path", None)
        lost |= {name: value for name, value in row.items() if value is not None}
        rescued.add({name: json_text(value) for name, value in lost.items()})
    return rescued.array()
