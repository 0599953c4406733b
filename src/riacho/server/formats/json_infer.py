"""The schema of JSON records, as Spark infers it.

Each record gives a type; types are merged two by two (numbers widen, anything else that differs becomes STRING, structs
merge field by field); what is still unknown at the end becomes STRING, and structs without fields vanish. Columns come
in the order of their names. Source: `JsonInferSchema`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce

import pyarrow as pa

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.options import Options
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import parse_number
from riacho.server.formats.json_tokens import NO_TOKENS, JsonParser, MalformedJsonError, Node, Number, Pairs
from riacho.server.formats.modes import ParseMode
from riacho.types import TIMESTAMP

MAX_PRECISION = 38


class JsonInference:
    """Infers one schema from records, by the reader's options."""

    def __init__(self, options: Options, parser: JsonParser, datetimes: Datetimes) -> None:
        self._parser = parser
        self._mode = ParseMode.of(options)
        self._corrupt = options.text("columnNameOfCorruptRecord")
        self._as_string = options.flag("primitivesAsString")
        self._prefers_decimal = options.flag("prefersDecimal")
        self._infer_timestamp = options.flag("inferTimestamp")
        self._drop_null = options.flag("dropFieldIfAllNull")
        self._timestamp = datetimes.timestamp

    def infer(self, texts: Iterable[str]) -> pa.Schema:
        """The schema of all records. Raises MALFORMED_RECORD_IN_SCHEMA_INFERENCE (FAILFAST), COLUMN_ALREADY_EXISTS."""
        merged = reduce(self._merge_roots, (root for text in texts for root in self._root(text)), pa.struct([]))
        final = self._final(merged)
        schema = pa.schema(list(final)) if final is not None and pa.types.is_struct(final) else pa.schema([])
        _check_names(schema)
        return schema

    def _root(self, text: str) -> list[pa.DataType]:
        """The type of one record: at most one."""
        try:
            node = self._parser.parse(text)
        except MalformedJsonError as error:
            if self._mode is ParseMode.FAILFAST:
                raise _malformed(str(error)) from error
            return [self._corrupt_struct()] if self._mode is ParseMode.PERMISSIVE else []
        return [pa.null() if node is NO_TOKENS else self._type(node)]

    def _corrupt_struct(self) -> pa.DataType:
        return pa.struct([pa.field(self._corrupt, pa.string())])

    def _merge_roots(self, left: pa.DataType, right: pa.DataType) -> pa.DataType:
        """A record may be an array of records; one that is neither adds the corrupt-record column."""
        if pa.types.is_list(left):
            return self._merge_roots(left.value_type, right)
        if pa.types.is_list(right):
            return self._merge_roots(left, right.value_type)
        if pa.types.is_struct(left) and not pa.types.is_struct(right) and not pa.types.is_null(right):
            if self._mode is ParseMode.FAILFAST:
                raise _malformed(f"a record of type {right}")
            return merge_types(left, self._corrupt_struct()) if self._mode is ParseMode.PERMISSIVE else left
        return left if pa.types.is_null(right) else merge_types(left, right)

    def _type(self, node: Node) -> pa.DataType:
        if node is None or node == "":
            return pa.null()
        if isinstance(node, bool):
            return pa.string() if self._as_string else pa.bool_()
        if isinstance(node, Number):
            return self._number(node)
        if isinstance(node, str):
            return self._text(node)
        if isinstance(node, Pairs):
            return _struct([pa.field(name, self._type(value)) for name, value in node])
        return pa.list_(pa.field("element", reduce(merge_types, map(self._type, node), pa.null())))

    def _number(self, node: Number) -> pa.DataType:
        if self._as_string:
            return pa.string()
        if node.is_integer:
            if -(1 << 63) <= int(node) < 1 << 63:
                return pa.int64()
            return decimal_type(Decimal(node)) or pa.float64()
        if self._prefers_decimal and (value := parse_number(node)) is not None:
            return decimal_type(value) or pa.float64()
        return pa.float64()

    def _text(self, node: str) -> pa.DataType:
        if self._prefers_decimal:
            value = parse_number(node.replace(",", ""))
            if value is not None and (found := decimal_type(value)) is not None:
                return found
        if self._infer_timestamp and self._timestamp(node) is not None:
            return TIMESTAMP
        return pa.string()

    def _final(self, arrow: pa.DataType) -> pa.DataType | None:
        """`arrow` without empty structs and unknown types; None if nothing is left."""
        if pa.types.is_null(arrow):
            return None if self._drop_null else pa.string()
        if pa.types.is_list(arrow):
            element = self._final(arrow.value_type)
            return None if element is None else pa.list_(pa.field("element", element))
        if pa.types.is_struct(arrow):
            found = [(field.name, self._final(field.type)) for field in arrow if field.name]
            fields = [pa.field(name, kind) for name, kind in found if kind is not None]
            return pa.struct(fields) if fields else None
        return arrow


def _struct(fields: Iterable[pa.Field]) -> pa.DataType:
    """A struct with its fields in order of their names; of repeated names the types are merged."""
    by_name: dict[str, pa.DataType] = {}
    for field in fields:
        by_name[field.name] = merge_types(by_name[field.name], field.type) if field.name in by_name else field.type
    return pa.struct([pa.field(name, by_name[name]) for name in sorted(by_name, key=java_order)])


def java_order(name: str) -> bytes:
    """Java compares text by its UTF-16 units."""
    return name.encode("utf-16-be", "surrogatepass")


def decimal_type(value: Decimal) -> pa.DataType | None:
    """The narrowest DECIMAL that holds `value`, or None if none does."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = -exponent
    precision = max(len(digits), scale)
    if scale < 0:
        # Java keeps 1e3 as one digit with scale -3; Spark makes all digits count.
        precision, scale = len(digits) + exponent, 0
    return pa.decimal128(max(precision, 1), scale) if precision <= MAX_PRECISION else None


def merge_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The type that takes the values of both; STRING if there is no better one."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        return _struct([*left, *right])
    if pa.types.is_list(left) and pa.types.is_list(right):
        return pa.list_(pa.field("element", merge_types(left.value_type, right.value_type)))
    numbers = [_as_number(left), _as_number(right)]
    if None in numbers:
        return pa.string()
    if pa.float64() in numbers:
        return pa.float64()
    return wider_decimal(left, right)


def _as_number(arrow: pa.DataType) -> pa.DataType | None:
    return arrow if arrow in {pa.int64(), pa.float64()} or pa.types.is_decimal(arrow) else None


def wider_decimal(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    (p1, s1), (p2, s2) = (
        (arrow.precision, arrow.scale) if pa.types.is_decimal(arrow) else (20, 0) for arrow in (left, right)
    )
    scale, digits = max(s1, s2), max(p1 - s1, p2 - s2)
    return pa.decimal128(digits + scale, scale) if digits + scale <= MAX_PRECISION else pa.float64()


def _malformed(what: str) -> SparkGeneralError:
    return SparkGeneralError.of(
        "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
        f"Malformed records are detected in schema inference ({what}). Parse Mode: FAILFAST.",
        sql_state="22023",
        failFastMode="FAILFAST",
    )


def _check_names(schema: pa.Schema) -> None:
    seen: set[str] = set()
    for name in schema.names:
        if name.lower() in seen:
            raise AnalysisError.of(
                "COLUMN_ALREADY_EXISTS",
                f"The column `{name.lower()}` already exists. Choose another name or rename the existing column.",
                sql_state="42711",
                columnName=f"`{name.lower()}`",
            )
        seen.add(name.lower())
