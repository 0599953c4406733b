"""Text files to Arrow: one STRING column `value` with a row per line, or per file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.options import Option, Options
from riacho.server.formats.base import Decoded, DecoderContext, bare_rows
from riacho.server.formats.content import read_blocks, read_whole, split_records
from riacho.server.formats.options import TEXT
from riacho.server.formats.text_options import check_text_options, unsupported_type

SCHEMA = pa.schema([pa.field("value", pa.string())])


@dataclass(frozen=True)
class TextDecoder:
    """Reads text files. Bytes that are no text become U+FFFD."""

    schema: pa.Schema
    options: Options

    def decode(self, path: str) -> Decoded:
        for lines in self._lines(path):
            if not len(self.schema):
                yield from bare_rows(len(lines)).to_batches()
            elif lines:
                yield pa.record_batch([pa.array(lines, pa.string())], schema=self.schema)

    def _lines(self, path: str) -> Sequence[list[str]]:
        encoding, separator = self.options.text("encoding"), self.options.maybe("lineSep")
        if self.options.flag("wholetext"):
            text = _text(read_whole(path, encoding))
            return [[text]] if text else []
        if separator is not None:
            return [[_text(record) for record in split_records(path, separator, encoding)]]
        return [_text(block).removesuffix("\n").split("\n") for block in read_blocks(path, encoding)]


@dataclass(frozen=True)
class TextFormat:
    """The `text` format: its schema is fixed."""

    name: str = "text"
    table: tuple[Option, ...] = TEXT

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> TextDecoder:
        """Raises AnalysisError unless the schema is a single STRING column."""
        check_text_options(options)
        if len(schema) > 1:
            raise AnalysisError(
                f"Text data source supports only a single column, and you have {len(schema)} columns.",
                condition="_LEGACY_ERROR_TEMP_1290",
            )
        for field in schema:
            if not pa.types.is_string(field.type):
                raise unsupported_type("Text", field)
        return TextDecoder(context.used(schema), options)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        del paths, options
        return SCHEMA


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
