"""CSV files to Arrow, with Spark's results at Arrow's speed.

Each block of lines is tried with the strict parser (`csv_strict`); lines that it refuses are converted one by one, by
`csv_tokens` and `csv_values`. See `salvage` for how they are found. Source: `UnivocityParser`, `CSVHeaderChecker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from riacho.errors import IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.ahead import in_order
from riacho.server.formats.base import Decoded, DecoderContext, bare_rows, file_url
from riacho.server.formats.content import Lines, read_blocks, read_whole, split_records
from riacho.server.formats.csv_strict import StrictCsv, supports
from riacho.server.formats.csv_tokens import Dialect, split_line, split_stream
from riacho.server.formats.csv_values import Parse, parser
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.modes import MalformedRecordError, ParseMode, corrupt_column, in_file
from riacho.server.formats.rescue import Rescued, json_text
from riacho.server.formats.salvage import Refused, salvage
from riacho.server.formats.text_options import check_text_options

_WHITE = bytes(range(0x21))


@dataclass(frozen=True)
class CsvDecoder:
    """Reads CSV files into `schema`. Made by `CsvDecoder.of`; safe to use from several threads.

    `in_file`: the columns of a line, in order. `positions`: those among them that are used; `parsers` are theirs.
    `prunes`: whether a line may lack the others, or have more.
    """

    schema: pa.Schema
    mode: ParseMode
    corrupt: str | None
    rescue: str | None
    options: Options
    dialect: Dialect
    datetimes: Datetimes
    in_file: pa.Schema
    positions: Sequence[int]
    prunes: bool
    parsers: Sequence[Parse]
    threads: int

    @classmethod
    def of(cls, schema: pa.Schema, options: Options, context: DecoderContext) -> CsvDecoder:
        """A decoder into the used columns of `schema`.

        Raises what the options, the types or the corrupt-record column have wrong.
        """
        check_text_options(options)
        datetimes = Datetimes.of(options, context.today)
        used = context.used(schema)
        corrupt = corrupt_column(used, options)
        own = {options.text("columnNameOfCorruptRecord"), context.rescued_column}
        in_file = pa.schema([field for field in schema if field.name not in own])
        positions = [i for i, name in enumerate(in_file.names) if name not in context.unused]
        # Spark tells its parser which values to take; it then gives as many for each line. Not so with `multiLine`.
        prunes = len(positions) < len(in_file) and options.flag("columnPruning") and not options.flag("multiLine")
        return cls(
            used,
            ParseMode.of(options),
            corrupt,
            context.rescued_column,
            options,
            Dialect.of(options),
            datetimes,
            in_file,
            positions,
            prunes,
            [parser(in_file.field(i), options, datetimes) for i in positions],
            context.threads,
        )

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order. Raises FAILED_READ_FILE for a malformed record with FAILFAST."""
        try:
            for table in self._tables(path):
                yield from table.combine_chunks().to_batches()
        except (MalformedRecordError, HeaderMismatchError) as error:
            raise in_file(error, file_url(path)) from error

    def _tables(self, path: str) -> Iterator[pa.Table]:
        encoding, separator = self.options.text("encoding"), self.options.maybe("lineSep")
        if self.options.flag("multiLine"):
            text = _text(read_whole(path, encoding)).removeprefix("\ufeff").replace("\r\n", "\n")
            text = text.replace("\r", "\n") if separator is None else text.replace(separator, "\n")
            records = split_stream(text, self.dialect)
            if self.options.flag("header"):
                self._check_header(next(records, ([], ""))[0], path)
            yield self._rows(records, path)
            return
        bodies = self._bodies(path, separator, encoding)
        yield from in_order(partial(self._block, path), bodies, self.threads)

    def _bodies(self, path: str, separator: str | None, encoding: str) -> Iterator[Lines]:
        """The blocks of a file without its header, which is checked."""
        header = self.options.flag("header")
        for block in self._blocks(path, separator, encoding):
            found = header_line(block, self.dialect) if header else None
            if found is not None:
                header = False
                self._check_header(split_line(_text(block.line(found)), self.dialect), path)
                yield block.after(found)
            elif not header:
                yield block

    def _blocks(self, path: str, separator: str | None, encoding: str) -> Iterator[Lines]:
        if separator is None:
            yield from map(Lines.of, read_blocks(path, encoding))
            return
        yield joined(split_records(path, separator, encoding))

    def _check_header(self, names: Sequence[str | None], path: str) -> None:
        if not self.options.flag("enforceSchema"):
            expected = self.in_file.names
            if self.prunes:
                names = [names[i] if i < len(names) else None for i in self.positions]
                expected = [expected[i] for i in self.positions]
            check_header([name or "" for name in names], expected, file_url(path))

    def _block(self, path: str, lines: Lines) -> pa.Table:
        if not len(lines):
            return self.schema.empty_table()
        if self.prunes and not self.positions:
            return bare_rows(len(lines) - count_skipped(lines, self.dialect))
        exact = partial(self._exact, lines, path)
        # Only a separator of its own can leave line ends inside lines, which would split them for Arrow.
        if not supports(self._used, self.dialect, self.datetimes) or self.options.is_given("lineSep"):
            return exact(0, len(lines))
        strict = StrictCsv(self.in_file, lines, self.dialect, self.datetimes, self.positions)
        pieces = salvage(len(lines), lambda low, high: self._completed(strict(low, high)), exact)
        return pa.concat_tables(pieces)

    @property
    def _used(self) -> pa.Schema:
        """The columns of lines that rows are to have."""
        return pa.schema([self.in_file.field(i) for i in self.positions])

    def _completed(self, table: pa.Table | Refused) -> pa.Table | Refused:
        """`table` with the columns that good records leave NULL."""
        if isinstance(table, Refused) or len(table.schema) == len(self.schema):
            return table
        columns = [
            table.column(field.name) if field.name in table.schema.names else pa.nulls(table.num_rows, field.type)
            for field in self.schema
        ]
        return pa.table(columns, schema=self.schema)

    def _exact(self, lines: Lines, path: str, low: int, high: int) -> pa.Table:
        texts = (_text(line) for i in range(low, high) if not is_skipped(line := lines.line(i), self.dialect))
        return self._rows(((split_line(text, self.dialect), text) for text in texts), path)

    def _rows(self, records: Iterable[tuple[list[str | None], str]], path: str) -> pa.Table:
        """Records (values and source) converted one by one."""
        width = len(self.in_file)
        columns: list[list[Any]] = [[] for _ in self.positions]
        corrupt: list[str | None] = []
        rescued = Rescued(file_url(path))
        for tokens, source in records:
            row, lost = self._row(tokens)
            ragged = len(tokens) != width and not self.prunes
            bad = ragged or bool(lost)
            if (bad if self.rescue is None else ragged) and self.mode is not ParseMode.PERMISSIVE:
                if self.mode is ParseMode.FAILFAST:
                    shown = ",".join("null" if value is None else str(value) for value in row)
                    raise MalformedRecordError.in_parsing(f"[{shown}]")
                continue
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            corrupt.append(source if bad else None)
            extra = {f"_c{i}": tokens[i] for i in range(width, len(tokens)) if tokens[i] is not None}
            rescued.add({name: json_text(text) for name, text in {**lost, **extra}.items()})
        arrays = {f.name: pa.array(c, f.type) for f, c in zip(self._used, columns, strict=True)}
        if self.corrupt is not None:
            arrays[self.corrupt] = pa.array(corrupt, pa.string())
        if self.rescue is not None:
            arrays[self.rescue] = rescued.array()
        if not len(self.schema):
            return bare_rows(len(corrupt))
        return pa.table([arrays[field.name] for field in self.schema], schema=self.schema)

    def _row(self, tokens: Sequence[str | None]) -> tuple[list[Any], dict[str, str]]:
        """The values of a record's tokens, and the texts (by column) that are no value of their type."""
        row: list[Any] = []
        lost: dict[str, str] = {}
        for i, parse in zip(self.positions, self.parsers, strict=True):
            token = tokens[i] if i < len(tokens) else None
            value = None if token is None or token == self.dialect.null_value else parse(token)
            if value is None and token is not None and token != self.dialect.null_value:
                lost[self.in_file.names[i]] = token
            row.append(value)
        return row, lost


class HeaderMismatchError(IllegalArgumentError):
    """A header that does not name the schema's columns, with `enforceSchema=false`."""


def check_header(found: Sequence[str], names: Sequence[str], url: str) -> None:
    """Raises HeaderMismatchError unless the header names the columns in order, in any case."""
    if len(found) != len(names):
        raise HeaderMismatchError(
            "Number of column in CSV header is not equal to number of fields in the schema:\n"
            f" Header length: {len(found)}, schema size: {len(names)}\nCSV file: {url}"
        )
    for in_header, in_schema in zip(found, names, strict=True):
        if in_header.lower() != in_schema.lower():
            raise HeaderMismatchError(
                f"CSV header does not conform to the schema.\n Header: {', '.join(found)}\n"
                f" Schema: {', '.join(names)}\nExpected: {in_schema} but found: {in_header}\nCSV file: {url}"
            )


def header_line(lines: Lines, dialect: Dialect) -> int | None:
    """The first line that is neither blank nor a comment."""
    return next((i for i in range(len(lines)) if not is_skipped(lines.line(i), dialect)), None)


def is_skipped(line: bytes, dialect: Dialect) -> bool:
    """Whether Spark skips the line: it is blank, or it starts with the comment character."""
    return line.startswith(dialect.comment.encode()) or not line.strip(_WHITE)


def count_skipped(lines: Lines, dialect: Dialect) -> int:
    """How many of the lines Spark skips."""
    first = np.frombuffer(lines.data, np.uint8)[lines.starts]
    perhaps = np.flatnonzero((first <= ord(" ")) | (first == ord(dialect.comment)))
    return sum(is_skipped(lines.line(int(i)), dialect) for i in perhaps)


def joined(records: Sequence[bytes]) -> Lines:
    """Records as lines of one block, whatever they contain."""
    filled = [record for record in records if record]
    ends = np.cumsum([len(record) + 1 for record in filled], dtype=np.int64) - 1
    starts = ends - np.array([len(record) for record in filled], dtype=np.int64)
    return Lines(b"\n".join(filled), starts, ends)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def tokens_of(path: str, options: Options, dialect: Dialect) -> Iterator[list[str | None]]:
    """The values of every record of a file, the header included. Raises as `read_whole`."""
    encoding, separator = options.text("encoding"), options.maybe("lineSep")
    if options.flag("multiLine"):
        text = _text(read_whole(path, encoding)).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        yield from (values for values, _ in split_stream(text, dialect))
        return
    blocks = (
        map(Lines.of, read_blocks(path, encoding))
        if separator is None
        else [joined(split_records(path, separator, encoding))]
    )
    for lines in blocks:
        for i in range(len(lines)):
            if not is_skipped(lines.line(i), dialect):
                yield split_line(_text(lines.line(i)), dialect)
