"""Whole files as rows: `binaryFile` gives one row per file, with its path, time, length and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.options import Option, Options
from riacho.paths import qualified
from riacho.server.formats.base import Decoded, DecoderContext, bare_rows, file_url
from riacho.server.formats.inputs import input_of
from riacho.server.formats.modes import in_file
from riacho.server.formats.options import BINARY
from riacho.types import TIMESTAMP, type_to_ddl

SCHEMA: Final = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("modificationTime", TIMESTAMP),
        pa.field("length", pa.int64()),
        pa.field("content", pa.binary()),
    ]
)


@dataclass(frozen=True)
class BinaryDecoder:
    """Reads whole files. Their bytes are read only if the column `content` is used."""

    schema: pa.Schema
    max_length: int
    rescue: str | None

    def decode(self, path: str) -> Decoded:
        """The one row of a file; none if it is empty, as in Spark.

        Raises FAILED_READ_FILE.NO_HINT for a file that is too long, if its bytes are to be read.
        """
        found = input_of(path)
        if not found.size:
            return
        if not len(self.schema):
            yield from bare_rows(1).to_batches()
            return
        values = {
            "path": qualified(path),
            "modificationTime": found.modified_ms * 1_000,
            "length": found.size,
        }
        if "content" in self.schema.names:
            if found.size > self.max_length:
                raise _too_long(path, found.size, self.max_length)
            with found.stream() as stream:
                values["content"] = stream.read()
        columns = [pa.array([values.get(field.name)], field.type) for field in self.schema]
        yield pa.record_batch(columns, schema=self.schema)


def _too_long(path: str, length: int, allowed: int) -> SparkGeneralError:
    cause = SparkGeneralError(
        f"The length of {file_url(path)} is {length}, which exceeds the max length allowed: {allowed}.",
        condition="_LEGACY_ERROR_TEMP_2230",
    )
    return in_file(cause, file_url(path))


@dataclass(frozen=True)
class BinaryFormat:
    """The `binaryFile` format: its schema is fixed."""

    name: str = "binaryFile"
    table: tuple[Option, ...] = BINARY

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> BinaryDecoder:
        """Raises IllegalArgumentError unless the columns are those of whole files."""
        rescue = context.rescued_column
        given = [field for field in schema if field.name != rescue]
        if [(field.name, field.type) for field in given] != [(field.name, field.type) for field in SCHEMA]:
            raise IllegalArgumentError(
                "requirement failed: \nBinary file data source expects dataSchema: "
                f"{_shown(SCHEMA)},\nbut got: {_shown(pa.schema(given))}."
            )
        return BinaryDecoder(context.used(schema), options.number("maxLength"), rescue)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        del paths, options
        return SCHEMA


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {type_to_ddl(field.type)}" for field in schema)
