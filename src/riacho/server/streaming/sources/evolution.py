"""The schema of `cloudFiles`: inferred once, hinted, grown by new columns.

A schema only ever grows at its end; a column never changes its type: values of another type are rescued.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from riacho.errors import SparkError, SparkGeneralError
from riacho.options import Options
from riacho.server.formats.base import FileFormat
from riacho.server.streaming.sources.cloud_options import SELF_DESCRIBING, CloudOptions
from riacho.server.streaming.sources.listing import FileStatus

MAX_SAMPLE_FILES: Final = 1000
MAX_SAMPLE_BYTES: Final = 1 << 30
"""How much is read to infer a schema: the first so many files, or bytes."""


def infer_data_schema(
    format: FileFormat, files: Sequence[FileStatus], options: CloudOptions, nested: Collection[str] = ()
) -> pa.Schema:
    """The columns of the first files; a damaged file says nothing. Types as the options want them.

    `nested`: the columns, in lower case, of which hints name fields; not they but their fields are made STRING.
    """
    schemas = [_schema_of(format, path, options) for path in sample(files)]
    merged = merged_schema([schema for schema in schemas if schema is not None])
    if options.infer_types or format.name.lower() in SELF_DESCRIBING:
        return merged
    return pa.schema(
        [field.with_type(_texts(field.type) if field.name.lower() in nested else pa.string()) for field in merged]
    )


def _texts(arrow: pa.DataType) -> pa.DataType:
    """A type of the same form, with STRING for all that has none."""
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_texts(field.type)) for field in arrow])
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(_texts(arrow.value_type)))
    return pa.string()


def sample(files: Sequence[FileStatus]) -> list[str]:
    """The first files, up to the limits, at least one."""
    chosen: list[str] = []
    total = 0
    for file in files[:MAX_SAMPLE_FILES]:
        total += file.size
        if chosen and total > MAX_SAMPLE_BYTES:
            break
        chosen.append(file.path)
    return chosen


def _schema_of(format: FileFormat, path: str, options: CloudOptions) -> pa.Schema | None:
    try:
        return format.infer([path], _inferring(options))
    except (SparkError, OSError, EOFError, pa.ArrowException):
        return None


def _inferring(options: CloudOptions) -> Options:
    """The reader's options with types inferred where the format has a switch for that."""
    if options.format != "csv":
        return options.files
    given = {**options.files.given, "inferSchema": str(options.infer_types).lower()}
    return replace(options.files, given=given)


def merged_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """All columns, in order of appearance. If two files disagree about a type, the first one counts."""
    columns: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            columns.setdefault(field.name.lower(), field)
    return pa.schema(list(columns.values()))


def added_columns(known: pa.Schema, found: pa.Schema) -> list[pa.Field]:
    """The columns of `found` that `known` lacks, names compared in any case."""
    names = {name.lower() for name in known.names}
    return [field for field in found if field.name.lower() not in names]


def unknown_fields(url: str, names: Sequence[str], *, recorded: bool) -> SparkError:
    """The error that stops a stream whose files got new columns. `recorded`: a restart will know them."""
    listed = ", ".join(names)
    way_out = (
        "The schema has been updated: restart the stream and it goes on with the new columns."
        if recorded
        else "The mode failOnNewColumns forbids them: update the schema, or remove the file."
    )
    return SparkGeneralError.of(
        "UNKNOWN_FIELD_EXCEPTION.NEW_FIELDS_IN_FILE",
        f"Encountered unknown fields during parsing: [{listed}] in file {url}, which can be fixed by an automatic "
        f"retry: {str(recorded).lower()}. {way_out}",
        sql_state="KD003",
        fieldsBlob=listed,
        filePath=url,
        isRetryable=str(recorded).lower(),
    )
