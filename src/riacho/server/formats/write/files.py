"""From a format and its options to files: what a writer needs to make one, whatever the format.

A `FileWriterFormat` is checked options. It opens an `OpenFile` for each file, which takes batches of rows in two steps:
`encode`, which may run for several batches at once, in any thread, and `write`, in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from riacho.conf import FILE_RECORDS, GetConf
from riacho.errors import AnalysisError, IllegalArgumentError, NumberFormatError
from riacho.options import Option, Options
from riacho.server.formats.text_options import unsupported_type
from riacho.server.formats.write.avro_files import avro
from riacho.server.formats.write.columnar import Columnar, orc, parquet
from riacho.server.formats.write.compression import Compressor, TextCodec, text_codec
from riacho.server.formats.write.csv_text import CsvText
from riacho.server.formats.write.json_settings import json_text_of, moment_of
from riacho.server.formats.write.lines import content
from riacho.server.formats.write.options import COMMON, WRITERS
from riacho.zones import UTC, Zone

_CHARSETS: Final = ("iso-8859-1", "us-ascii", "utf-16", "utf-16be", "utf-16le", "utf-32", "utf-8")
_SHOWN: Final = {"csv": "CSV", "json": "JSON", "text": "Text", "parquet": "Parquet", "orc": "ORC", "avro": "AVRO"}
"""Formats as Spark's messages call them."""


class OpenFile(Protocol):
    """One file that is being written. A file that is closed without a batch holds no rows, and is whole."""

    def encode(self, batch: pa.RecordBatch) -> Any:
        """What is to be written for these rows. From any thread. Raises SparkError for what the format cannot hold."""

    def write(self, encoded: Any) -> None:
        """Write what `encode` gave. One thread at a time, in order."""

    def close(self) -> None:
        """Write what ends the file."""


@dataclass(frozen=True)
class FileWriterFormat:
    """A format with its options, checked.

    `extension` is what the names of its files end with, with its compression: `.snappy.parquet`. `most_rows`: of a
    file; 0 for no limit.
    """

    name: str
    extension: str
    open: Callable[[Path, pa.Schema], OpenFile]
    most_rows: int = 0


def file_format(
    name: str, given: Mapping[str, str], get_conf: GetConf, zone: Zone = UTC, *more: Iterable[Option]
) -> FileWriterFormat:
    """The writer's side of a format.

    `given`: the user's options; `more`: tables of options that somebody else reads. Raises SparkError for a value that
    an option cannot have.
    """
    table = (*WRITERS[name], *COMMON, *(option for options in more for option in options))
    options = Options.check(f"{name} writer", table, given)
    most_rows = _most_rows(options, get_conf)
    if name in _MAKERS:
        made = _MAKERS[name](options, get_conf)
        return FileWriterFormat(name, f"{made.extension}.{name}", made.open, most_rows)
    codec = text_codec(options.maybe("compression"))
    lines = _LINES[name](options, get_conf, zone)
    extension = f".{'txt' if name == 'text' else name}{codec.extension}"
    return FileWriterFormat(name, extension, lambda path, schema: _TextFile(path, schema, lines, codec), most_rows)


def check_schema(name: str, schema: pa.Schema) -> None:
    """Refuse columns that a format cannot hold.

    Raises EMPTY_SCHEMA_NOT_SUPPORTED_FOR_DATASOURCE, UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE, AnalysisError.
    """
    shown = _SHOWN[name]
    if not len(schema) or any(_is_empty(field.type) for field in schema):
        raise AnalysisError.of(
            "EMPTY_SCHEMA_NOT_SUPPORTED_FOR_DATASOURCE",
            f"The {shown} datasource does not support writing empty or nested empty schemas. Please make sure the data "
            "schema has at least one or more column(s).",
            sql_state="0A000",
            format=shown,
        )
    for field in schema:
        if not _TAKES[name](field.type):
            raise unsupported_type(shown, field)
    if name == "text" and len(schema) > 1:
        raise AnalysisError(
            f"Text data source supports only a single column, and you have {len(schema)} columns.",
            condition="_LEGACY_ERROR_TEMP_1290",
        )


def _is_empty(arrow: pa.DataType) -> bool:
    if pa.types.is_struct(arrow):
        return arrow.num_fields == 0 or any(_is_empty(field.type) for field in arrow)
    return False


def _no_void(arrow: pa.DataType) -> bool:
    if pa.types.is_map(arrow):
        return _no_void(arrow.key_type) and _no_void(arrow.item_type)
    if pa.types.is_list(arrow):
        return _no_void(arrow.value_type)
    if pa.types.is_struct(arrow):
        return all(_no_void(field.type) for field in arrow)
    return not pa.types.is_null(arrow)


_TAKES: Final[Mapping[str, Callable[[pa.DataType], bool]]] = {
    "csv": lambda arrow: not pa.types.is_nested(arrow) and not pa.types.is_null(arrow),
    "json": lambda _: True,
    "text": lambda arrow: bool(pa.types.is_string(arrow)),
    "parquet": lambda _: True,
    "orc": _no_void,
    "avro": lambda _: True,
}


def _most_rows(options: Options, get_conf: GetConf) -> int:
    if options.is_given("maxRecordsPerFile"):
        given = options.text("maxRecordsPerFile")
        if not re.fullmatch(r"-?\d+", given, re.ASCII):
            raise NumberFormatError(f'For input string: "{given}"')
        return max(0, int(given))
    return FILE_RECORDS.read(get_conf)


@dataclass(frozen=True)
class _LineText:
    """How rows become the text of a file. `header`: the first line, from the names of the columns."""

    of: Callable[[pa.RecordBatch], pa.Array]
    header: Callable[[pa.Schema], str] = lambda _: ""
    charset: str = "utf-8"


class _TextFile:
    """A file of lines. See `OpenFile`."""

    def __init__(self, path: Path, schema: pa.Schema, lines: _LineText, codec: TextCodec) -> None:
        self._lines = lines
        self._piece = codec.piece
        self._file = path.open("wb")
        self._compressor: Compressor | None = codec.compressor() if codec.compressor is not None else None
        start = b"\xfe\xff" if lines.charset == "utf-16" else b""
        if header := start + self._encoded(lines.header(schema).encode()):
            self.write(self._piece(header))

    def encode(self, batch: pa.RecordBatch) -> bytes:
        text = self._lines.of(batch)
        return self._piece(self._encoded(content(text)))

    def write(self, encoded: bytes) -> None:
        self._file.write(encoded if self._compressor is None else self._compressor.add(encoded))

    def close(self) -> None:
        if self._compressor is not None:
            self._file.write(self._compressor.end())
        self._file.close()

    def _encoded(self, text: bytes) -> bytes:
        if self._lines.charset == "utf-8" or not text:
            return text
        python = {"utf-16": "utf-16-be", "utf-32": "utf-32-be"}.get(self._lines.charset, self._lines.charset)
        return text.decode().encode(python, "replace")


def _charset(options: Options, owner: str) -> str:
    """The encoding, in lower case. Raises INVALID_PARAMETER_VALUE.CHARSET."""
    given = options.text("encoding")
    name = given.lower().replace("_", "-")
    if name not in _CHARSETS:
        raise IllegalArgumentError.of(
            "INVALID_PARAMETER_VALUE.CHARSET",
            f"The value of parameter(s) `charset` in `{owner}` is invalid: expects one of the {', '.join(_CHARSETS)}, "
            f"but got {given}.",
            sql_state="22023",
            parameter="`charset`",
            functionName=f"`{owner}`",
            charset=given,
            charsets=", ".join(_CHARSETS),
        )
    return name


def _line_end(options: Options, longest: int | None = None) -> str:
    text = options.given.get("lineSep", "\n")
    if not text:
        raise IllegalArgumentError("requirement failed: 'lineSep' cannot be an empty string.")
    if longest is not None and len(text) > longest:
        raise IllegalArgumentError("requirement failed: 'lineSep' can contain only 1 character.")
    return text


def _json(options: Options, get_conf: GetConf, zone: Zone) -> _LineText:
    text = replace(json_text_of(options, get_conf, zone), line_end=_line_end(options))
    return _LineText(text.lines, charset=_charset(options, "JSONOptions"))


def _csv(options: Options, _: GetConf, zone: Zone) -> _LineText:
    quote, escape = options.char("quote") or "\0", options.char("escape") or "\0"
    before_escape = options.char("charToEscapeQuoteEscaping") or ("\0" if quote == escape else escape)
    separator = _separator(options.text("sep"))
    text = CsvText(
        moment_of(options, zone),
        separator=separator,
        quote=quote,
        escape=escape,
        escape_escape=before_escape,
        quote_all=options.flag("quoteAll"),
        escape_quotes=options.flag("escapeQuotes"),
        null_value=options.text("nullValue"),
        empty_value=options.text("emptyValue"),
        trim_leading=options.flag("ignoreLeadingWhiteSpace"),
        trim_trailing=options.flag("ignoreTrailingWhiteSpace"),
        comment=options.char("comment"),
        line_end=_line_end(options, 2),
    )
    has_header = options.flag("header")
    header = (lambda schema: text.header(schema.names)) if has_header else (lambda _: "")
    return _LineText(text.lines, header, _charset(options, "CSVOptions"))


def _separator(given: str) -> str:
    r"""The separator, with `\t` and its like understood. Raises IllegalArgumentError for none."""
    if not given:
        raise IllegalArgumentError("Delimiter cannot be empty string")
    for escaped, meant in {"\\t": "\t", "\\r": "\r", "\\b": "\b", "\\f": "\f", "\\\\": "\\", "\\0": "\0"}.items():
        given = given.replace(escaped, meant)
    return given


def _text(options: Options, _: GetConf, __: Zone) -> _LineText:
    end = _line_end(options)

    def lines(batch: pa.RecordBatch) -> pa.Array:
        return pa.compute.binary_join_element_wise(pa.compute.fill_null(batch.column(0), ""), end, "")

    return _LineText(lines)


_LINES: Final[Mapping[str, Callable[[Options, GetConf, Zone], _LineText]]] = {"json": _json, "csv": _csv, "text": _text}
_MAKERS: Final[Mapping[str, Callable[[Options, GetConf], Columnar]]] = {"parquet": parquet, "orc": orc, "avro": avro}
FORMATS: Final = frozenset({*_LINES, *_MAKERS})
"""The formats that can be written."""
