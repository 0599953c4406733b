"""From the files that a batch read is to read to a plan that makes the engine read them, partitions and all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Final
from urllib.parse import quote

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.formats.json_infer import java_order
from riacho.server.plan import build
from riacho.server.streaming.sources.file_formats import unable_to_infer
from riacho.server.streaming.sources.file_index import FileIndex, Values
from riacho.server.streaming.sources.partitions import NULL_FOLDER, typed_value

LISTED: Final = "riacho.listed"
"""The option of a read whose files have been found already."""
_DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {"csv": {"escape": "\\"}}
"""What Spark's readers do where the option is not given and the engine does otherwise, by format."""
_SHOWN: Final = {"parquet": "Parquet", "orc": "ORC", "avro": "Avro"}


def read_of(
    format: str,
    options: Mapping[str, str],
    found: FileIndex,
    schema: pa.Schema | str | None,
    schema_of: Callable[[pb.Relation], pa.Schema],
) -> pb.Relation:
    """The rows of the files `found`.

    `schema`: what the reader was given; text where it need not be known, as there are files and no partitions.
    `schema_of`: asks the engine for the columns of a plan. Raises UNABLE_TO_INFER_SCHEMA if there are no files.
    """
    given = {name.lower() for name in options}
    defaults = {name: value for name, value in _DEFAULTS.get(format.lower(), {}).items() if name not in given}
    bare = pb.Read.DataSource(format=format, options={**options, **defaults, LISTED: "true"})
    if isinstance(schema, str):
        bare.schema = schema
        schema = None
    partitions = found.partitions if schema is None else given_types(found.partitions, schema)
    data = None if schema is None else pa.schema([f for f in schema if f.name not in partitions.names])
    if not found.files:
        return _nothing(format.lower(), data, partitions)
    if data is None and not bare.schema and format.lower() == "json":
        data = _sorted_fields(_inferred(bare, found.files, schema_of))
    if found.folder is None:
        return _of_files(bare, found.files, partitions, data, schema_of)
    if data is not None:
        texts = [pa.field(name, pa.string()) for name in partitions.names]
        bare.schema = types.to_json(pa.schema([*data, *texts]))
    bare.paths.append(_url(found.folder))
    return _with(_files(bare), {field.name: _from_text(field) for field in partitions})


def read(source: pb.Read.DataSource) -> pb.Relation:
    return pb.Relation(read=pb.Read(data_source=source))


def given_types(partitions: pa.Schema, schema: pa.Schema) -> pa.Schema:
    """The partition columns with the names and types that the reader was given for them."""
    given = {field.name.lower(): field for field in schema}
    return pa.schema([given.get(field.name.lower(), field) for field in partitions])


def _nothing(format: str, data: pa.Schema | None, partitions: pa.Schema) -> pb.Relation:
    if data is None:
        if format != "text":
            raise unable_to_infer(_SHOWN.get(format, format.upper()))
        data = pa.schema([pa.field("value", pa.string())])
    relation = pb.Relation()
    relation.local_relation.schema = types.to_json(types.nullable(pa.schema([*data, *partitions])))
    return relation


def _of_files(
    bare: pb.Read.DataSource,
    files: Mapping[Values, Sequence[str]],
    partitions: pa.Schema,
    data: pa.Schema | None,
    schema_of: Callable[[pb.Relation], pa.Schema],
) -> pb.Relation:
    """The rows of single files, those of each partition with its values."""
    if not partitions.names:
        if data is not None:
            bare.schema = types.to_json(data)
        bare.paths.extend(_url(path) for paths in files.values() for path in paths)
        return _files(bare)
    if data is None and bare.format.lower() not in {"text", "binaryfile"}:
        data = _inferred(bare, files, schema_of)
    if data is not None:
        bare.schema = types.to_json(data)
    groups = []
    for values, paths in files.items():
        group = pb.Read.DataSource()
        group.CopyFrom(bare)
        group.paths.extend(map(_url, paths))
        constants = {
            field.name: build.cast(_literal(text, field), field.type)
            for field, text in zip(partitions, values, strict=True)
        }
        groups.append(_with(_files(group), constants))
    return reduce(build.union, groups)


def _inferred(
    bare: pb.Read.DataSource, files: Mapping[Values, Sequence[str]], schema_of: Callable[[pb.Relation], pa.Schema]
) -> pa.Schema:
    """The columns that the engine finds in the files."""
    every = pb.Read.DataSource()
    every.CopyFrom(bare)
    every.paths.extend(_url(path) for paths in files.values() for path in paths)
    return schema_of(read(every))


def _sorted_fields(schema: pa.Schema) -> pa.Schema:
    """Columns and fields of structs by name, as Spark has them after inferring the schema of JSON."""
    return pa.schema(sorted(map(_sorted_field, schema), key=_by_name))


def _by_name(field: pa.Field) -> bytes:
    return java_order(field.name)


def _sorted_field(field: pa.Field) -> pa.Field:
    if pa.types.is_struct(field.type):
        inner = [_sorted_field(field.type.field(at)) for at in range(field.type.num_fields)]
        return field.with_type(pa.struct(sorted(inner, key=_by_name)))
    if pa.types.is_list(field.type):
        return field.with_type(pa.list_(_sorted_field(field.type.value_field)))
    return field


def _files(source: pb.Read.DataSource) -> pb.Relation:
    """A read of files; of whole files, `path` and `modificationTime` are made Spark's."""
    if source.format.lower() != "binaryfile":
        return _with(read(source), {})
    path = build.call("concat", build.text("file:/"), build.col("path"))
    time = build.call("timestamp_millis", build.call("unix_millis", build.col("modificationTime")))
    return _with(read(source), {"path": path, "modificationTime": time})


def _with(relation: pb.Relation, columns: Mapping[str, pb.Expression]) -> pb.Relation:
    if not columns:
        return relation
    aliases = [pb.Expression.Alias(expr=value, name=[name]) for name, value in columns.items()]
    return pb.Relation(with_columns=pb.WithColumns(input=relation, aliases=aliases))


def _from_text(field: pa.Field) -> pb.Expression:
    """A partition column from the text that the engine gives for it."""
    text = build.call("nullif", build.col(field.name), build.text(NULL_FOLDER))
    return text if pa.types.is_string(field.type) else build.cast(text, field.type)


def _literal(text: str | None, field: pa.Field) -> pb.Expression:
    """A partition value. Raises INVALID_PARTITION_VALUE for text that is none of its type."""
    typed_value(text, field.type, field.name)
    return build.null() if text is None else build.text(text)


def _url(path: str) -> str:
    """A local path as the engine takes it whatever characters it has."""
    return "file://" + quote(path)
