"""JSON files to Arrow, with Spark's results at Arrow's speed.

A block of lines is tried with the strict parser (`json_strict`); lines that it refuses are converted one by one
(`json_exact`). See `salvage` for how they are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.options import Option, Options
from riacho.server.formats import json_strict
from riacho.server.formats.ahead import in_order
from riacho.server.formats.base import DecoderContext, bare_rows, concatenated, file_url
from riacho.server.formats.content import Lines, read_blocks, read_whole, split_records
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.json_exact import Record, RecordConverter
from riacho.server.formats.json_infer import JsonInference
from riacho.server.formats.json_spelling import columns_of_seconds
from riacho.server.formats.json_strict import Parsed, StrictJson
from riacho.server.formats.json_tokens import JsonParser, Leniency, decode_utf8
from riacho.server.formats.modes import MalformedRecordError, ParseMode, corrupt_column, in_file
from riacho.server.formats.options import JSON
from riacho.server.formats.rescue import Rescued
from riacho.server.formats.salvage import Refused, salvage
from riacho.server.formats.text_options import check_text_options


@dataclass(frozen=True)
class JsonDecoder:
    """Reads JSON files into `schema`. Made by `JsonDecoder.of`; safe to use from several threads."""

    schema: pa.Schema
    mode: ParseMode
    corrupt: str | None
    context: DecoderContext
    options: Options
    datetimes: Datetimes
    parser: JsonParser

    @classmethod
    def of(cls, schema: pa.Schema, options: Options, context: DecoderContext) -> JsonDecoder:
        """A decoder into the used columns of `schema`.

        Raises what the options or the corrupt-record column have wrong.
        """
        check_text_options(options, json=True)
        used = context.used(schema)
        return cls(
            used,
            ParseMode.of(options),
            corrupt_column(used, options),
            context,
            options,
            Datetimes.of(options, context.today),
            JsonParser(leniency(options)),
        )

    @property
    def rescue(self) -> str | None:
        """The column for what fits no other, if there is one."""
        return self.context.rescued_column

    def decode(self, path: str) -> Iterator[pa.RecordBatch]:
        """The rows of one file, in order. Raises FAILED_READ_FILE for a malformed record with FAILFAST."""
        try:
            for table in self._tables(path):
                yield from table.combine_chunks().to_batches()
        except MalformedRecordError as error:
            raise in_file(error, file_url(path)) from error

    def _tables(self, path: str) -> Iterator[pa.Table]:
        separator = self.options.maybe("lineSep")
        encoding = self.options.text("encoding")
        if self.options.flag("multiLine"):
            yield self._rows([read_whole(path, encoding)], path)[0]
        elif separator is None:
            yield from in_order(partial(self._block, path), read_blocks(path, encoding), self.context.threads)
        else:
            records = split_records(path, separator, encoding)
            data = b"\n".join(records)
            if b"\r" in data or data.count(b"\n") != len(records) - 1:
                yield self._rows(records, path)[0]
            else:
                yield self._block(path, data)

    def _block(self, path: str, block: bytes) -> pa.Table:
        """The rows of a block of lines, by the fastest way that gives Spark's result."""
        data_schema = self._data_schema
        lines = Lines.of(block)
        exact = partial(self._exact, lines, path)
        if not len(lines):
            return self.schema.empty_table()
        if not json_strict.supports(data_schema, self.datetimes):
            return exact(0, len(lines))
        strict = StrictJson(
            data_schema,
            lines,
            self.datetimes,
            refuse_unknown=self.rescue is not None,
            non_numeric=self.parser.leniency.non_numeric_numbers,
            seconds=columns_of_seconds(data_schema, lines, self.parser),
        )

        def fast(low: int, high: int) -> pa.Table | Refused:
            found = strict(low, high)
            return found if isinstance(found, Refused) else self._mended(found, lines, low, path)

        return concatenated(salvage(len(lines), fast, exact))

    def _mended(self, parsed: Parsed, lines: Lines, low: int, path: str) -> pa.Table:
        """What the strict parser gave of the lines from `low` on, and the exact one of those that it left out."""
        table = self._completed(parsed.table)
        if parsed.row is None:
            return table
        odd = np.flatnonzero(parsed.row < 0)
        exact, rows = self._rows([lines.line(low + int(i)) for i in odd], path)
        begins, counts = parsed.row.copy(), np.ones(len(parsed.row), np.int64)
        begins[odd], counts[odd] = table.num_rows + np.cumsum(rows) - rows, rows
        if not len(self.schema):
            return bare_rows(int(counts.sum()))
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return pa.concat_tables([table, exact]).combine_chunks().take(np.repeat(begins, counts) + within)

    @property
    def _data_schema(self) -> pa.Schema:
        """The columns that hold fields of records."""
        return pa.schema([field for field in self.schema if field.name not in {self.corrupt, self.rescue}])

    def _completed(self, table: pa.Table) -> pa.Table:
        """`table` with the columns that good records leave NULL."""
        if len(table.schema) == len(self.schema):
            return table
        columns = [
            table.column(field.name) if field.name in table.schema.names else pa.nulls(table.num_rows, field.type)
            for field in self.schema
        ]
        return pa.table(columns, schema=self.schema)

    def _exact(self, lines: Lines, path: str, low: int, high: int) -> pa.Table:
        return self._rows([lines.line(i) for i in range(low, high)], path)[0]

    def _rows(self, records: Sequence[bytes], path: str) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """Records converted one by one, and how many rows each gives."""
        fields = list(self._data_schema)
        converter = RecordConverter(fields, self.parser, self.datetimes, rescue=self.rescue is not None)
        builder = _Builder(self, len(fields), file_url(path))
        unknown: set[str] = set()
        rows = []
        for record in records:
            text = decode_utf8(record)
            converted = converter.convert(text)
            unknown |= converted.unknown
            rows.append(builder.add(text, converted))
        self._tell_new_columns(path, unknown)
        return builder.table(fields), np.array(rows, np.int64)

    def _tell_new_columns(self, path: str, names: set[str]) -> None:
        if names and self.context.new_columns is not None:
            known = {name.lower() for name in self.schema.names}
            new = sorted(name for name in names if name.lower() not in known)
            if new:
                self.context.new_columns(path, new)


class _Builder:
    """Collects the rows of records, doing with bad ones what the mode says."""

    def __init__(self, decoder: JsonDecoder, width: int, url: str) -> None:
        self._decoder = decoder
        self._empty = (None,) * width
        self._rows: list[tuple[object, ...]] = []
        self._corrupt: list[str | None] = []
        self._rescued = Rescued(url)

    def add(self, text: str, record: Record) -> int:
        """Take the rows of one record whose source is `text`; how many."""
        # A value without a place is no reason to drop a record when there is a column to rescue it to.
        bad = record.bad and (self._decoder.rescue is None or not record.rows)
        if bad and self._decoder.mode is ParseMode.FAILFAST:
            shown = record.rows[0] if record.rows else self._empty
            raise MalformedRecordError.in_parsing(
                f"[{','.join('null' if value is None else str(value) for value in shown)}]"
            )
        if bad and self._decoder.mode is ParseMode.DROPMALFORMED:
            return 0
        # What is not UTF-8 cannot stand in a STRING; Spark keeps the bytes, riacho replaces them.
        source = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if bad else None
        malformed = record.bad and not record.rows
        rows = record.rows or ([self._empty] if malformed else [])
        for i, row in enumerate(rows):
            self._rows.append(row)
            self._corrupt.append(source)
            if self._decoder.rescue is not None:
                lost = {} if malformed else record.rescued[i]
                self._rescued.add(lost, source if malformed and self._decoder.corrupt is None else None)
        return len(rows)

    def table(self, fields: Sequence[pa.Field]) -> pa.Table:
        columns = {field.name: pa.array([row[i] for row in self._rows], field.type) for i, field in enumerate(fields)}
        if self._decoder.corrupt is not None:
            columns[self._decoder.corrupt] = pa.array(self._corrupt, pa.string())
        if self._decoder.rescue is not None:
            columns[self._decoder.rescue] = self._rescued.array()
        schema = self._decoder.schema
        if not len(schema):
            return bare_rows(len(self._rows))
        return pa.table([columns[field.name] for field in schema], schema=schema)


def leniency(options: Options) -> Leniency:
    """What the options allow beyond the JSON standard."""
    return Leniency(
        comments=options.flag("allowComments"),
        unquoted_names=options.flag("allowUnquotedFieldNames"),
        single_quotes=options.flag("allowSingleQuotes"),
        leading_zeros=options.flag("allowNumericLeadingZeros"),
        non_numeric_numbers=options.flag("allowNonNumericNumbers"),
        any_escape=options.flag("allowBackslashEscapingAnyCharacter"),
        control_chars=options.flag("allowUnquotedControlChars"),
    )


@dataclass(frozen=True)
class JsonFormat:
    """The `json` format."""

    name: str = "json"
    table: tuple[Option, ...] = JSON

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> JsonDecoder:
        return JsonDecoder.of(schema, options, context)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        check_text_options(options, json=True)
        inference = JsonInference(options, JsonParser(leniency(options)), Datetimes.of(options, lambda: 0))
        return inference.infer(decode_utf8(record) for path in paths for record in records(path, options))


def records(path: str, options: Options) -> Iterator[bytes]:
    """The records of one file, each as text in UTF-8. Raises as `read_whole`."""
    separator, encoding = options.maybe("lineSep"), options.text("encoding")
    if options.flag("multiLine"):
        yield read_whole(path, encoding)
    elif separator is not None:
        yield from split_records(path, separator, encoding)
    else:
        for block in read_blocks(path, encoding):
            lines = Lines.of(block)
            yield from (lines.line(i) for i in range(len(lines)))
