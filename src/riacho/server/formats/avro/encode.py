"""Values as a column of Avro messages: `to_avro`.

The writer of a type gives the pieces of all messages, column by column, and Arrow joins them once at the end. A null is
an empty piece to all writers but the one of the union or the record that knows what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.errors import AvroIncompatibleError, SparkRuntimeError
from riacho.server.formats.avro.cursors import Ints
from riacho.server.formats.avro.pieces import (
    Pieces,
    Write,
    bytes_of,
    filled,
    joined,
    of_known,
    ragged,
    repeated,
    varint,
    varints,
)
from riacho.server.formats.avro.schema import Field, Schema, parse
from riacho.server.formats.avro.sql_types import to_avro

_NUMBERS: Final = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.date32(), pa.duration("us"))


class AvroEncoder:
    """Writes values of one type. `schema`: None for the one that Spark makes of the type.

    Raises AvroSchemaError, AvroIncompatibleError if the type does not fit the schema.
    """

    def __init__(self, kind: pa.DataType, schema: str | None, *, nullable: bool) -> None:
        self.kind = types.normalise(kind)
        self.schema = to_avro(kind, nullable) if schema is None else parse(schema)
        try:
            if pa.types.is_struct(self.kind) and len(self.schema.known) > 1:
                raise _misfit(self.kind, self.schema, (), ())  # a struct that is no part of anything must be a record
            self._write = _writer(self.kind, self.schema, (), ())
        except AvroIncompatibleError as error:
            raise AvroIncompatibleError(
                f"Cannot convert SQL type {types.type_to_ddl(self.kind)} to Avro type {self.schema.text()}."
                + (f" {error.message}" if error.message else "")
            ) from None

    def encode(self, column: pa.Array) -> pa.Array:
        """The messages, as BINARY; null for null. Raises SparkRuntimeError for a null that the schema has none for."""
        if column.type != self.kind:
            column = column.cast(self.kind)
        return of_known(self._write, column)  # a null has no message, so it does not matter whether the schema has one


@lru_cache(maxsize=256)
def encoder(kind: pa.DataType, schema: str | None, nullable: bool) -> AvroEncoder:
    """The encoder of a type and a schema, made once. Raises as `AvroEncoder`."""
    return AvroEncoder(kind, schema, nullable=nullable)


def _writer(kind: pa.DataType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:  # noqa: C901, PLR0911
    """What writes values of `kind`, which stand at `path`. Raises AvroIncompatibleError."""
    if schema.kind == "union":
        return _union(kind, schema, path, avro)
    where = schema.kind
    if pa.types.is_null(kind) and where == "null":
        return lambda _: []
    if pa.types.is_boolean(kind) and where == "boolean":
        return lambda column: [bytes_of(filled(column.cast(pa.uint8()), 0).to_numpy(zero_copy_only=False))]
    if kind in _NUMBERS and where == ("long" if kind in (pa.int64(), pa.duration("us")) else "int"):
        return lambda column: [_numbers(column)]
    if pa.types.is_timestamp(kind) and where == "long":
        return _times(kind, schema, path, avro)
    if kind == pa.float32() and where == "float":
        return lambda column: [bytes_of(filled(column, 0).to_numpy(zero_copy_only=False).astype("<f4"))]
    if kind == pa.float64() and where == "double":
        return lambda column: [bytes_of(filled(column, 0).to_numpy(zero_copy_only=False).astype("<f8"))]
    if kind == pa.string() and where == "enum":
        return _enum(schema, path, avro)
    if kind in (pa.string(), pa.binary()) and where == ("string" if kind == pa.string() else "bytes"):
        return _text
    if kind == pa.binary() and where == "fixed":
        return _fixed(schema.size, path, avro)
    if pa.types.is_decimal(kind) and schema.logical == "decimal" and _is_alike(kind, schema):
        return (lambda column: _fixed_decimals(column, schema.size)) if where == "fixed" else _decimals
    if pa.types.is_struct(kind) and where == "record":
        return _record(kind, schema, path, avro)
    if pa.types.is_list(kind) and where == "array":
        item = _writer(kind.value_type, schema.item, (*path, "element"), (*avro, "element"))
        return lambda column: _list(column, _no_nulls(item, schema.item, "Array", (*path, "element")))
    if pa.types.is_map(kind) and where == "map" and kind.key_type == pa.string():
        value = _writer(kind.item_type, schema.item, (*path, "value"), (*avro, "value"))
        return lambda column: _map(column, _no_nulls(value, schema.item, "Map", (*path, "value")))
    raise _misfit(kind, schema, path, avro)


def _is_alike(kind: pa.Decimal128Type, schema: Schema) -> bool:
    return (kind.precision, kind.scale) == (schema.precision, schema.scale)


def _union(kind: pa.DataType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    known = schema.known
    null = next((at for at, branch in enumerate(schema.branches) if branch.kind == "null"), None)
    if not known:
        return lambda column: [repeated(varint(0), len(column))]
    if len(known) == 1:
        branch = known[0]
    elif pa.types.is_struct(kind):
        return _members(kind, schema, path, avro)
    else:
        kinds = {branch.kind for branch in known}
        wanted = {pa.int64(): {"int", "long"}, pa.float64(): {"float", "double"}}.get(kind)
        if kinds != wanted:
            raise _misfit(kind, schema, path, avro)
        branch = next(b for b in known if b.kind == ("long" if kind == pa.int64() else "double"))
    chosen = schema.branches.index(branch)
    write = (lambda _: []) if pa.types.is_null(kind) else _writer(kind, branch, path, avro)

    def pieces(column: pa.Array) -> Pieces:
        if not column.null_count:
            return [repeated(varint(chosen), len(column)), *write(column)]
        assert null is not None, "looked for before"
        nulls = column.is_null()
        which = pc.if_else(nulls, varint(null), varint(chosen))
        if pa.types.is_nested(kind):
            return [which, of_known(write, column).fill_null(b"")]
        return [which, *(pc.if_else(nulls, b"", piece) for piece in write(column))]

    return pieces


def _members(kind: pa.StructType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    """A struct with a field for each type of the union: the first that is not null counts."""
    names = [field.name for field in kind]
    expected = [f"member{at}" for at in range(len(schema.known))]
    if names != expected:
        raise AvroIncompatibleError(
            f"Generic Avro union at {_place(avro)} does not match the SQL schema at {_place(path)}.  It expected the "
            f"following members ({', '.join(expected)}) but got ({', '.join(names)})"
        )
    members = [
        (schema.branches.index(branch), _writer(field.type, branch, (*path, field.name), (*avro, field.name)))
        for branch, field in zip(schema.known, kind, strict=True)
    ]
    null = next((at for at, branch in enumerate(schema.branches) if branch.kind == "null"), None)

    def pieces(column: pa.Array) -> Pieces:
        open_ = np.ones(len(column), np.bool_)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        made: Pieces = []
        for at, (number, write) in enumerate(members):
            values = column.field(at)
            has = open_ & known & values.is_valid().to_numpy(zero_copy_only=False)
            mask = pa.array(has)
            made.append(pc.if_else(mask, varint(number), b""))
            made.append(of_known(write, pc.if_else(mask, values, pa.scalar(None, values.type))).fill_null(b""))
            open_ &= ~has
        if open_.any():
            if null is None:
                raise _cannot_be_null(avro[-1] if avro else "", schema)
            made.append(pc.if_else(pa.array(open_), varint(null), b""))
        return made

    return pieces


def _record(kind: pa.StructType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    by_name: dict[str, list[Field]] = {}
    for part in schema.fields:
        by_name.setdefault(part.name.lower(), []).append(part)
    places: dict[str, int] = {}
    for at, field in enumerate(kind):
        found = by_name.get(field.name.lower(), [])
        if len(found) > 1:
            names = ", ".join(part.name for part in found)
            raise AvroIncompatibleError(
                f"Searching for '{field.name}' in Avro schema at {_place(avro)} gave {len(found)} matches. "
                f"Candidates: [{names}]"
            )
        if not found:
            raise AvroIncompatibleError(f"Cannot find {_place((*path, field.name))} in Avro schema")
        places[found[0].name] = at
    fields: list[tuple[Field, int | None, Write]] = []
    for part in schema.fields:
        place = places.get(part.name)
        if place is None:
            if not part.schema.has_null:
                raise AvroIncompatibleError(
                    f"Found {_place((*avro, part.name))} in Avro schema but there is no match in the SQL schema"
                )
            fields.append((part, None, _writer(pa.null(), part.schema, path, avro)))
        else:
            field = kind.field(place)
            write = _writer(field.type, part.schema, (*path, field.name), (*avro, part.name))
            fields.append((part, place, write))

    def pieces(column: pa.Array) -> Pieces:
        made: Pieces = []
        for part, place, write in fields:
            if place is None:
                made += write(pa.nulls(len(column)))
                continue
            values = column.field(place)
            if values.null_count and not _takes_null(part.schema):
                raise _cannot_be_null(part.name, part.schema)
            made += write(values)
        return made

    return pieces


def _takes_null(schema: Schema) -> bool:
    return schema.kind == "null" or schema.has_null


def _cannot_be_null(name: str, schema: Schema) -> SparkRuntimeError:
    return SparkRuntimeError.of(
        "AVRO_CANNOT_WRITE_NULL_FIELD",
        f"Cannot write null value for field `{name}` defined as non-null Avro data type {schema.text()}.\nTo allow "
        'value for this field, specify its avro schema as a union type with "null" using `avroSchema` option.',
        sql_state="22004",
        name=f"`{name}`",
        dataType=schema.text(),
    )


def _no_nulls(write: Write, schema: Schema, what: str, path: tuple[str, ...]) -> Write:
    """A writer of elements that refuses nulls if the schema has none."""
    if _takes_null(schema):
        return write

    def pieces(column: pa.Array) -> Pieces:
        if column.null_count:
            raise SparkRuntimeError(f"{what} value at path {_place(path)} is not allowed to be null")
        return write(column)

    return pieces


def _misfit(kind: pa.DataType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> AvroIncompatibleError:
    return AvroIncompatibleError(
        f"Cannot convert SQL {_place(path)} to Avro {_place(avro)} because schema is incompatible "
        f"(sqlType = {types.type_to_ddl(kind)}, avroType = {schema.text()})"
    )


def _place(path: Sequence[str]) -> str:
    return f"field '{'.'.join(path)}'" if path else "top-level record"


def _times(kind: pa.TimestampType, schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    prefix = "timestamp" if kind.tz else "local-timestamp"
    if schema.logical == f"{prefix}-micros":
        return lambda column: [_numbers(column)]
    if schema.logical not in (None, f"{prefix}-millis"):
        raise AvroIncompatibleError(
            f"Cannot convert SQL {_place(path)} to Avro {_place(avro)} because SQL type {types.type_to_ddl(kind)} "
            f"cannot be converted to Avro logical type {schema.logical}"
        )
    return lambda column: [varints(filled(column.view(pa.int64()), 0).to_numpy(zero_copy_only=False) // 1000)]


def _enum(schema: Schema, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    symbols = pa.array(schema.symbols, pa.string())

    def pieces(column: pa.Array) -> Pieces:
        found = pc.index_in(column, symbols)
        unknown = pc.and_(found.is_null(), column.is_valid())
        if pc.any(unknown).as_py():
            value = column.filter(unknown)[0].as_py()
            raise AvroIncompatibleError(
                f'Cannot convert SQL {_place(path)} to Avro {_place(avro)} because "{value}" cannot be written since '
                "it's not defined in enum " + ", ".join(f'"{symbol}"' for symbol in schema.symbols)
            )
        return [varints(filled(found, 0).to_numpy(zero_copy_only=False).astype(np.int64))]

    return pieces


def _fixed(size: int, path: tuple[str, ...], avro: tuple[str, ...]) -> Write:
    def counted(count: int) -> str:
        return f"{count} {'bytes' if count > 1 else 'byte'}"

    def pieces(column: pa.Array) -> Pieces:
        wrong = pc.not_equal(pc.binary_length(column), size)
        if pc.any(wrong).as_py():
            length = len(column.filter(wrong)[0].as_py())
            raise AvroIncompatibleError(
                f"Cannot convert SQL {_place(path)} to Avro {_place(avro)} because {counted(length)} of binary data "
                f"cannot be written into FIXED type with size of {counted(size)}"
            )
        return [filled(column, b"")]

    return pieces


def _text(column: pa.Array) -> Pieces:
    column = filled(column.cast(pa.binary()), b"")
    return [varints(pc.binary_length(column).to_numpy(zero_copy_only=False).astype(np.int64)), column]


def _numbers(column: pa.Array) -> pa.Array:
    width = pa.int64() if column.type.bit_width == 64 else pa.int32()
    values = column if pa.types.is_integer(column.type) else column.view(width)
    return varints(filled(values, 0).to_numpy(zero_copy_only=False).astype(np.int64))


def _big_endian(column: pa.Array) -> npt.NDArray[np.uint8]:
    """The unscaled values of decimals as sixteen bytes each, the highest first."""
    raw = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * 16 : (column.offset + len(column)) * 16]
    return raw.reshape(-1, 16)[:, ::-1]  # what stands where a value is null is nobody's business


def _fixed_decimals(column: pa.Array, size: int) -> Pieces:
    digits = _big_endian(column)
    if size > 16:
        sign = np.where(digits[:, :1] >= 0x80, 0xFF, 0).astype(np.uint8)
        digits = np.concatenate([np.repeat(sign, size - 16, axis=1), digits], axis=1)
    return [bytes_of(np.ascontiguousarray(digits[:, digits.shape[1] - size :]))]


def _decimals(column: pa.Array) -> Pieces:
    """In as few bytes as Java's `BigInteger` takes."""
    digits = _big_endian(column)
    extra = np.zeros(len(digits), np.int64)
    leading = np.ones(len(digits), np.bool_)
    for at in range(15):
        high, following = digits[:, at], digits[:, at + 1]
        leading &= ((high == 0) & (following < 0x80)) | ((high == 0xFF) & (following >= 0x80))
        extra += leading
    kept = np.arange(16)[None, :] >= extra[:, None]
    size = 16 - extra
    return [varints(size), ragged(digits[kept], size)]


def _list(column: pa.Array, write: Write) -> Pieces:
    counts = filled(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten()
    return _blocks(counts, joined(write(values), len(values)))


def _map(column: pa.Array, write: Write) -> Pieces:
    offsets = column.offsets.to_numpy().astype(np.int64)
    counts = np.diff(offsets)
    if column.null_count:
        counts = np.where(column.is_null().to_numpy(zero_copy_only=False), 0, counts)
    before = np.repeat(offsets[:-1] - (np.cumsum(counts) - counts), counts)
    index = pa.array(before + np.arange(int(counts.sum())))
    keys, values = column.keys.take(index), column.items.take(index)
    return _blocks(counts, joined([*_text(keys), *write(values)], len(keys)))


def _blocks(counts: Ints, elements: pa.Array) -> Pieces:
    """Lists of elements: their count, the elements, and the count 0 that ends it."""
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    offsets = np.frombuffer(elements.buffers()[1], np.int32)[elements.offset : elements.offset + len(elements) + 1]
    grouped = pa.py_buffer(np.ascontiguousarray(offsets[ends] if len(offsets) else np.zeros(len(ends), np.int32)))
    groups = pa.Array.from_buffers(pa.binary(), len(counts), [None, grouped, elements.buffers()[2]])
    return [varints(counts, nothing=counts == 0), groups, repeated(b"\0", len(counts))]
