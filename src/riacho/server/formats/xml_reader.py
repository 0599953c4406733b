"""XML files to Arrow: each element of one name is a row, as Spark reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Option, Options
from riacho.server.formats.base import Decoded, DecoderContext, bare_rows, file_url
from riacho.server.formats.content import check_encoding, read_whole
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.modes import MalformedRecordError, ParseMode, corrupt_column, in_file
from riacho.server.formats.options import XML
from riacho.server.formats.xml_convert import PartialRow, RowConverter, XmlNames
from riacho.server.formats.xml_events import RowEvents, line_rows, rows
from riacho.server.formats.xml_infer import XmlInference
from riacho.server.formats.xml_values import BadText, TextRules

_BATCH_ROWS: Final = 8192
_CORRUPT_BYTES: Final = 64 << 20
"""About how much text of malformed records a batch may have: each has its whole file."""


@dataclass(frozen=True)
class XmlDecoder:
    """Reads XML files into `schema`. Made by `XmlFormat.decoder`; safe to use from several threads."""

    schema: pa.Schema
    options: Options
    mode: ParseMode
    corrupt: str | None
    datetimes: Datetimes

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order. Raises FAILED_READ_FILE for a malformed record with FAILFAST."""
        data, encoding = _content(path, self.options)
        fields = [field for field in self.schema if field.name != self.corrupt]
        converter = RowConverter(fields, names_of(self.options), TextRules.of(self.options), self.datetimes)
        batch = _Batch(self, fields, data, encoding)
        try:
            for row in _rows(data, encoding, self.options):
                if batch.add(converter, row):
                    yield from batch.take()
            yield from batch.take()
        except MalformedRecordError as error:
            raise in_file(error, file_url(path)) from error


class _Batch:
    """Collects rows, doing with bad ones what the mode says."""

    def __init__(self, decoder: XmlDecoder, fields: Sequence[pa.Field], data: bytes, encoding: str | None) -> None:
        self._decoder = decoder
        self._fields = fields
        self._data = data
        self._encoding = encoding
        self._rows: list[tuple[Any, ...]] = []
        self._bad: list[str | None] = []
        self._kept = 0
        self._text: str | None = None

    def add(self, converter: RowConverter, row: RowEvents) -> bool:
        """Take one row; gives whether it is time to `take` them. Raises MalformedRecordError with FAILFAST."""
        try:
            values, bad = converter.convert(row), False
        except PartialRow as partial:
            values, bad = partial.row, True
        except BadText:
            values, bad = (None,) * len(self._fields), True
        source = (row.source or self._whole()) if bad else None
        if source is not None and self._decoder.mode is ParseMode.FAILFAST:
            raise MalformedRecordError.in_parsing(source[:1000])
        if source is None or self._decoder.mode is ParseMode.PERMISSIVE:
            self._rows.append(values)
            self._bad.append(source)
            self._kept += len(source or "") if self._decoder.corrupt is not None else 0
        return len(self._rows) >= _BATCH_ROWS or self._kept > _CORRUPT_BYTES

    def take(self) -> Iterator[pa.RecordBatch]:
        """The rows so far, if there are any."""
        rows, bad = self._rows, self._bad
        self._rows, self._bad, self._kept = [], [], 0
        if not rows:
            return
        if not len(self._decoder.schema):
            yield from bare_rows(len(rows)).to_batches()
            return
        columns = {field.name: pa.array([row[i] for row in rows], field.type) for i, field in enumerate(self._fields)}
        if self._decoder.corrupt is not None:
            columns[self._decoder.corrupt] = pa.array(bad, pa.string())
        yield pa.record_batch([columns[name] for name in self._decoder.schema.names], schema=self._decoder.schema)

    def _whole(self) -> str:
        """The whole file, which is the record that Spark keeps."""
        if self._text is None:
            self._text = self._data.decode(self._encoding or "utf-8", "replace").removeprefix("\ufeff")
        return self._text


def _content(path: str, options: Options) -> tuple[bytes, str | None]:
    """What a file holds, and its encoding if the options say that. Raises as `read_whole`."""
    given = options.maybe("encoding")
    if given is None:
        return read_whole(path), None
    return read_whole(path, given), "utf-8"


def _rows(data: bytes, encoding: str | None, options: Options) -> Iterator[RowEvents]:
    read = rows if options.flag("multiLine") else line_rows
    return read(data, options.text("rowTag").strip(), encoding=encoding, local_names=options.flag("ignoreNamespace"))


def names_of(options: Options) -> XmlNames:
    """What columns are called."""
    return XmlNames(
        options.text("attributePrefix"),
        options.text("valueTag"),
        options.text("wildcardColName"),
        not options.flag("excludeAttribute"),
    )


def check_xml_options(options: Options) -> None:
    """Raises XML_ROW_TAG_MISSING, IllegalArgumentError."""
    if options.maybe("rowTag") is None:
        raise AnalysisError.of(
            "XML_ROW_TAG_MISSING",
            "`rowTag` option is required for reading/writing files in XML format.",
            sql_state="42KDF",
            rowTag="`rowTag`",
        )
    tag = options.text("rowTag").strip()
    demands = {
        "'rowTag' option should not be an empty string.": bool(tag),
        "'rowTag' should not include angle brackets": "<" not in tag and ">" not in tag,
        "'valueTag' option should not be empty string.": bool(options.text("valueTag")),
        "'valueTag' and 'attributePrefix' options should not be the same.": options.text("valueTag")
        != options.text("attributePrefix"),
    }
    for demand, met in demands.items():
        if not met:
            raise IllegalArgumentError(f"requirement failed: {demand}")
    try:
        ratio = float(options.text("samplingRatio"))
    except ValueError:
        raise options.illegal("samplingRatio", options.text("samplingRatio"), "must be a number") from None
    if ratio <= 0:
        raise IllegalArgumentError(f"requirement failed: samplingRatio ({ratio}) should be greater than 0")
    if options.maybe("encoding") is not None:
        check_encoding(options.text("encoding"))


@dataclass(frozen=True)
class XmlFormat:
    """The `xml` format."""

    name: str = "xml"
    table: tuple[Option, ...] = XML

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> XmlDecoder:
        check_xml_options(options)
        used = context.used(schema)
        datetimes = Datetimes.of(options, context.today)
        decoder = XmlDecoder(used, options, ParseMode.of(options), corrupt_column(used, options), datetimes)
        RowConverter(list(used), names_of(options), TextRules.of(options), datetimes)
        return decoder

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        check_xml_options(options)
        inference = XmlInference(options, names_of(options), Datetimes.of(options, lambda: 0))
        contents = (_content(path, options) for path in paths)
        return inference.infer(row for data, encoding in contents for row in _rows(data, encoding, options))
