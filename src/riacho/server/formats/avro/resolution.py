"""The writer's schema and the reader's: how the values of one are read as those of the other.

Avro's own rules (`org.apache.avro.Resolver`): fields by name and alias, defaults for what the writer lacks, numbers as
larger ones, texts as bytes and back, the first branch of a union that fits. What does not fit is damaged only where a
message has it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from riacho.errors import AvroSchemaError
from riacho.server.formats.avro.leaves import (
    Booleans,
    Broken,
    Constants,
    Decimals,
    Enums,
    Fixed,
    Floats,
    Nulls,
    Numbers,
    ScaledLongs,
    Texts,
    ValueReader,
)
from riacho.server.formats.avro.options import AvroOptions
from riacho.server.formats.avro.readers import Later, Lists, Maps, Members, RecordValues, Unions
from riacho.server.formats.avro.schema import PRIMITIVES, Field, NoDefault, Schema
from riacho.server.formats.avro.sql_types import member_names

_PROMOTIONS: Final = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
_MILLIS: Final = frozenset({"timestamp-millis", "local-timestamp-millis"})


def reader_of(writer: Schema, reader: Schema, kind: pa.DataType, options: AvroOptions) -> ValueReader:
    """What reads messages that were written with one schema as values of `kind`, the type of the other."""
    if pa.types.is_struct(kind) and len(reader.known) > 1:
        return Broken(kind)  # a union of several types is read inside a record only
    return _SchemaResolution(options).reader(writer, reader, kind)


class _SchemaResolution:
    def __init__(self, options: AvroOptions) -> None:
        self._options = options
        self._skipped: dict[int, ValueReader] = {}

    def reader(self, writer: Schema, reader: Schema, kind: pa.DataType) -> ValueReader:
        if writer.kind == "union":
            return Unions(kind, [self.reader(branch, reader, kind) for branch in writer.branches])
        if reader.kind == "union":
            return self._into_union(writer, reader, kind)
        if writer.kind != reader.kind:
            if reader.kind in _PROMOTIONS.get(writer.kind, ()):
                return _leaf(writer, reader, kind)
            return Broken(kind)
        match writer.kind:
            case "record":
                return self._record(writer, reader, kind)
            case "array":
                return Lists(kind, self.reader(writer.item, reader.item, kind.value_type))
            case "map":
                return Maps(kind, self.reader(writer.item, reader.item, kind.item_type))
            case "enum" | "fixed" if not _same_name(writer, reader):
                return Broken(kind)
            case "enum":
                return Enums([_symbol(symbol, reader) for symbol in writer.symbols])
            case "fixed" if writer.size != reader.size:
                return Broken(kind)
            case _:
                return _leaf(writer, reader, kind)

    def _into_union(self, writer: Schema, reader: Schema, kind: pa.DataType) -> ValueReader:
        """A value of one type as that of a union: as itself, as a larger number, or as a member of a struct."""
        place = self._fitting(writer, reader)
        if place is None:
            return Broken(kind)
        branch = reader.branches[place]
        if branch.kind == "null":
            return Nulls(kind)
        known = reader.known
        kinds = {other.kind for other in known}
        if len(known) == 1 or (len(known) == 2 and kinds in ({"int", "long"}, {"float", "double"})):
            return self.reader(writer, branch, kind)
        name = member_names(known, self._options)[known.index(branch)]
        at = kind.get_field_index(name)
        if at < 0:  # below the deepest record
            return Broken(kind)
        return Members(kind, at, self.reader(writer, branch, kind.field(at).type))

    def _fitting(self, writer: Schema, reader: Schema) -> int | None:
        """The branch of a reader's union that a writer's value goes to (`ReaderUnion.firstMatchingBranch`)."""
        alike = None
        for at, branch in enumerate(reader.branches):
            if branch.kind != writer.kind:
                continue
            if writer.kind not in ("record", "enum", "fixed") or writer.full_name == branch.full_name:
                return at
            if writer.full_name in branch.aliases:
                return at
            is_like = writer.kind == "record" and self._resolves(writer, branch)
            if is_like and (alike is None or writer.name == branch.name):
                alike = at
        if alike is not None:
            return alike
        wider = _PROMOTIONS.get(writer.kind, ())
        return next((at for at, branch in enumerate(reader.branches) if branch.kind in wider), None)

    @staticmethod
    def _resolves(writer: Schema, reader: Schema) -> bool:
        names = {part.name for part in writer.fields}
        return all(part.default is not NoDefault or names & {part.name, *part.aliases} for part in reader.fields)

    def _record(self, writer: Schema, reader: Schema, kind: pa.StructType) -> ValueReader:
        by_name = {part.name: part for part in reader.fields}
        if len({part.name.lower() for part in reader.fields}) < len(by_name):
            return Broken(kind)  # Spark, which does not tell cases apart, cannot choose
        by_alias = {alias: part for part in reader.fields for alias in part.aliases}
        fields: list[tuple[ValueReader, int | None]] = []
        read: set[str] = set()
        for part in writer.fields:
            wanted = by_name.get(part.name) or by_alias.get(part.name)
            if wanted is not None:
                read.add(wanted.name)
            place = -1 if wanted is None else kind.get_field_index(wanted.name)
            if wanted is None or place < 0:  # unknown to the reader, or below the deepest record
                fields.append((self._skipping(part.schema), None))
            else:
                fields.append((self.reader(part.schema, wanted.schema, kind.field(place).type), place))
        missing = [part for part in reader.fields if part.name not in read]
        if any(part.default is NoDefault for part in missing):
            return Broken(kind)
        defaults = []
        for part in missing:
            place = kind.get_field_index(part.name)
            if place >= 0:
                defaults.append((_default(part, kind.field(place).type, self._options), place))
        return RecordValues(kind, fields, defaults)

    def _skipping(self, schema: Schema) -> ValueReader:
        """What moves on behind a value of any type; the type of its column means nothing."""
        found = self._skipped.get(id(schema))
        if found is None:
            # A schema may contain itself: what is inside is made only when a message has it.
            self._skipped[id(schema)] = Later(lambda: self._skipping_now(schema))
            found = self._skipped[id(schema)] = self._skipping_now(schema)
        return found

    def _skipping_now(self, schema: Schema) -> ValueReader:
        match schema.kind:
            case "record":
                return RecordValues(pa.struct([]), [(self._skipping(part.schema), None) for part in schema.fields], [])
            case "array":
                return Lists(pa.list_(pa.null()), self._skipping(schema.item))
            case "map":
                return Maps(pa.map_(pa.string(), pa.null()), self._skipping(schema.item))
            case "union":
                return Unions(pa.null(), [self._skipping(branch) for branch in schema.branches])
            case "enum":
                return Numbers("int", pa.int32())
            case "fixed":
                return Fixed(schema.size)
            case _:
                return _leaf(Schema(schema.kind), Schema(schema.kind), _SKIPPED[schema.kind])


_SKIPPED: Final = dict(
    zip(
        PRIMITIVES,
        (pa.null(), pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.binary(), pa.string()),
        strict=True,
    )
)


def _leaf(writer: Schema, reader: Schema, kind: pa.DataType) -> ValueReader:
    """A value without parts."""
    match writer.kind:
        case "null":
            return Nulls(kind)
        case "boolean":
            return Booleans()
        case "int" | "long":
            if pa.types.is_decimal(kind):
                return ScaledLongs(kind)
            return Numbers(writer.kind, kind, 1000 if reader.logical in _MILLIS else 1)
        case "float" | "double":
            return Floats(writer.kind, kind)
        case "bytes" | "string":
            return Decimals(kind, None) if pa.types.is_decimal(kind) else Texts(kind)
        case _:
            return Decimals(kind, writer.size) if pa.types.is_decimal(kind) else Fixed(writer.size)


def _same_name(writer: Schema, reader: Schema) -> bool:
    return writer.full_name == reader.full_name or writer.full_name in reader.aliases


def _symbol(symbol: str, reader: Schema) -> str | None:
    return symbol if symbol in reader.symbols else reader.default


def _default(part: Field, kind: pa.DataType, options: AvroOptions) -> ValueReader:
    try:
        return Constants(pa.array([_value(part.default, part.schema, kind, options)], kind))
    except (ValueError, TypeError, KeyError, pa.ArrowException):
        raise AvroSchemaError(
            f"Invalid default for field {part.name}: {part.default!r} not a {part.schema.text()}"
        ) from None


def _value(given: Any, schema: Schema, kind: pa.DataType, options: AvroOptions) -> Any:
    """A default in a schema's JSON as a value of a column."""
    match schema.kind:
        case "union":
            return _union_value(given, schema, kind, options)
        case "null":
            if given is not None:
                raise ValueError
            return None
        case "record":
            parts = {part.name: part for part in schema.fields}
            values = {name: part.default for name, part in parts.items()} | dict(given)
            if NoDefault in values.values():
                raise ValueError
            return {f.name: _value(values[f.name], parts[f.name].schema, f.type, options) for f in kind}
        case "array":
            return [_value(element, schema.item, kind.value_type, options) for element in given]
        case "map":
            return [(key, _value(value, schema.item, kind.item_type, options)) for key, value in given.items()]
        case "bytes" | "fixed":
            raw = given.encode("latin-1")
            if pa.types.is_decimal(kind):
                return Decimal(int.from_bytes(raw, "big", signed=True)).scaleb(-schema.scale)
            return raw
        case "int" | "long":
            return _time(given, schema, kind)
        case "boolean" if not isinstance(given, bool):
            raise ValueError
        case _:
            return given


def _union_value(given: Any, schema: Schema, kind: pa.DataType, options: AvroOptions) -> Any:
    for branch in schema.branches:
        known = schema.known
        inside, name = kind, None
        if branch.kind != "null" and len(known) > 1 and pa.types.is_struct(kind):
            name = member_names(known, options)[known.index(branch)]
            inside = kind.field(name).type
        try:
            value = _value(given, branch, inside, options)
            pa.array([value], inside)
        except (ValueError, TypeError, KeyError, AttributeError, pa.ArrowException):
            continue
        return value if name is None else {name: value}
    raise ValueError


def _time(given: Any, schema: Schema, kind: pa.DataType) -> Any:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError
    if pa.types.is_date(kind):
        return date(1970, 1, 1) + timedelta(days=given)
    if pa.types.is_timestamp(kind):
        micros = given * 1000 if schema.logical in _MILLIS else given
        return datetime(1970, 1, 1, tzinfo=UTC if kind.tz else None) + timedelta(microseconds=micros)
    if pa.types.is_decimal(kind):
        return Decimal(given).scaleb(-schema.scale)
    return given
