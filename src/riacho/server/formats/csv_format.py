"""The `csv` format: by position as Spark reads it, or by header for sources with a rescue column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.options import Option, Options
from riacho.server.formats.base import Decoder, DecoderContext
from riacho.server.formats.csv_by_header import CsvByHeader
from riacho.server.formats.csv_infer import infer_schema
from riacho.server.formats.csv_reader import CsvDecoder, tokens_of
from riacho.server.formats.csv_tokens import Dialect
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.options import CSV
from riacho.server.formats.text_options import check_text_options


@dataclass(frozen=True)
class CsvFormat:
    """The `csv` format."""

    name: str = "csv"
    table: tuple[Option, ...] = CSV

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> Decoder:
        if context.rescued_column is not None and options.flag("header"):
            # Checks the options and the types, which do not depend on the header.
            CsvDecoder.of(schema, options, context)
            return CsvByHeader(schema, options, context)
        return CsvDecoder.of(schema, options, context)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        """All columns STRING, or with `inferSchema` the narrowest type that takes every value.

        Raises as `check_text_options`, `Datetimes.of` and `tokens_of`.
        """
        check_text_options(options)
        dialect = Dialect.of(options)
        tokens: list[list[str | None]] = []
        header: list[str | None] | None = None
        for path in paths:
            file_tokens = list(tokens_of(path, options, dialect))
            if header is None and file_tokens:
                header = file_tokens[0]
            tokens += file_tokens[1:] if options.flag("header") else file_tokens
        return infer_schema(header or [], tokens, options, Datetimes.of(options, lambda: 0))
