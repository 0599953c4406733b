"""JSON values as columns: fast where they are what the type says, exact and value by value where they are not.

A value fits a type as Spark's JSON reader sees it: a text column takes anything (as JSON), a number column numbers, a
column of times ISO 8601 or seconds since 1970. A time without a zone is in UTC.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

import pyarrow as pa

_NONE: Final = type(None)
_PLAIN: Final = (
    (pa.types.is_boolean, {bool, _NONE}),
    (pa.types.is_integer, {int, _NONE}),
    (pa.types.is_floating, {int, float, _NONE}),
    (pa.types.is_string, {str, _NONE}),
    (pa.types.is_timestamp, {str, _NONE}),
    (pa.types.is_date, {str, _NONE}),
)
"""The types of values that pyarrow itself makes columns of."""
_SHOWN = 60
_WIDE: Final = Context(prec=76)
"""For decimals of 38 digits before they are rounded."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MisfitError(Exception):
    """A value that its column cannot take; says which, and what was expected."""


def column(
    values: Sequence[Any], kind: pa.DataType, name: str, *, empty_as_null: bool
) -> tuple[pa.Array, dict[int, str]]:
    """The values as an array, and what is wrong with those that do not fit (null in the array), by their place."""
    if (array := _fast(values, kind)) is not None:
        return array, {}
    wrong: dict[int, str] = {}
    fitted: list[Any] = []
    convert = _Converter(empty_as_null)
    for place, value in enumerate(values):
        try:
            fitted.append(convert(value, kind, name))
        except MisfitError as misfit:
            wrong[place] = str(misfit)
            fitted.append(None)
    return pa.array(fitted, kind), wrong


def _fast(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    allowed = next((types for test, types in _PLAIN if test(kind)), None)
    if allowed is None or not set(map(type, values)) <= allowed:
        return None
    try:
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return pa.array(values, pa.string()).cast(kind)
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        return None


class _Converter:
    """One value as Python's value for an Arrow type. Raises MisfitError."""

    def __init__(self, empty_as_null: bool) -> None:
        self._empty_as_null = empty_as_null

    def __call__(self, value: Any, kind: pa.DataType, name: str) -> Any:
        if value is None:
            return None
        if pa.types.is_string(kind):
            return _unicode(value, name) if isinstance(value, str) else as_json(value)
        if value == "" and self._empty_as_null and isinstance(value, str):
            return None
        if pa.types.is_list(kind):
            return self._list(value, kind, name)
        if pa.types.is_struct(kind):
            if not isinstance(value, dict):
                raise _misfit(name, "an object", value)
            return {field.name: self(value.get(field.name), field.type, f"{name}.{field.name}") for field in kind}
        if pa.types.is_map(kind):
            if not isinstance(value, dict):
                raise _misfit(name, "an object", value)
            return [
                (_unicode(str(key), name), self(item, kind.item_type, f"{name}.{key}")) for key, item in value.items()
            ]
        return _scalar(value, kind, name)

    def _list(self, value: Any, kind: pa.DataType, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise _misfit(name, "a list", value)
        return [self(item, kind.value_type, f"{name}[{place}]") for place, item in enumerate(value)]


def _scalar(value: Any, kind: pa.DataType, name: str) -> Any:
    try:
        if pa.types.is_boolean(kind):
            return _of(value, bool, name, "true or false")
        if pa.types.is_integer(kind):
            return pa.scalar(_of(value, int, name, f"a whole number ({kind})"), kind).as_py()
        if pa.types.is_floating(kind):
            if value in ("NaN", "Infinity", "-Infinity") or (_is_number(value)):
                return float(value)
        elif pa.types.is_decimal(kind):
            return _decimal(value, kind)
        elif pa.types.is_timestamp(kind):
            return _moment(value) if kind.tz else _moment(value).replace(tzinfo=None)
        elif pa.types.is_date(kind) and isinstance(value, str):
            return date.fromisoformat(value) if len(value) == 10 else _moment(value).date()
        elif pa.types.is_binary(kind) and isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (ValueError, OverflowError, InvalidOperation, pa.ArrowInvalid):
        pass
    raise _misfit(name, _expected(kind), value)


def _expected(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "a time in ISO 8601, or seconds since 1970"
    return "a date such as 2026-01-31" if pa.types.is_date(kind) else f"a value of type {kind}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _of(value: Any, kind: type, name: str, expected: str) -> Any:
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        raise _misfit(name, expected, value)
    return value


def _decimal(value: Any, kind: pa.DataType) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError  # noqa: TRY004 - a misfit like the others
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise ValueError
    number = exact.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_UP, _WIDE)
    if len(number.as_tuple().digits) > kind.precision:
        raise ValueError
    return number


def _moment(value: Any) -> datetime:
    if _is_number(value):
        return _EPOCH + timedelta(seconds=float(value))
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - a misfit like the others
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unicode(text: str, name: str) -> str:
    """The text. Raises MisfitError for half of a surrogate pair, which JSON can escape and UTF-8 cannot hold."""
    if _encodable(text) != text:
        raise _misfit(name, "text in Unicode", text)
    return text


def _encodable(text: str) -> str:
    """The text, with halves of surrogate pairs as JSON escapes them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _misfit(name: str, expected: str, value: Any) -> MisfitError:
    shown = as_json(value)
    shown = shown[:_SHOWN] + ("…" if len(shown) > _SHOWN else "")
    return MisfitError(f"field {_encodable(name)}: expected {expected}, got {shown}")


class _UnusualError(Exception):
    """A value that the library cannot write as it must be."""


def as_json(value: Any, other: Callable[[Any], Any] = str) -> str:
    """A value as compact JSON text.

    Decimals are numbers with all their digits, NaN and the infinities are texts as Spark writes them. `other` makes
    JSON values of what JSON has no type for.
    """

    def default(found: Any) -> Any:
        if isinstance(found, Decimal):
            raise _UnusualError
        return other(found)

    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default, allow_nan=False)
    except (_UnusualError, ValueError, TypeError):
        text = _written(value, other)
    return _encodable(text)


def _written(value: Any, other: Callable[[Any], Any]) -> str:
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else json.dumps(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(str(value).replace("inf", "Infinity").replace("nan", "NaN"))
    if isinstance(value, dict):
        pairs = (f"{_name(name, other)}:{_written(item, other)}" for name, item in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_written(item, other) for item in value)}]"
    if value is None or isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False)
    return _written(other(value), other)


def _name(name: Any, other: Callable[[Any], Any]) -> str:
    text = name if isinstance(name, str) else _written(name, other)
    return json.dumps(text, ensure_ascii=False) if isinstance(name, str) or not text.startswith('"') else text
