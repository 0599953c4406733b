"""What an expression without columns says, where it is as plain as a literal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from riacho.protos import pb
from riacho.server.formats.times import to_days, to_local_micros, to_micros
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.sql.tokens import Token, string_value, tokenize
from riacho.zones import Zone

NO_CONSTANT: Final = object()
"""It is something else."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
_UTC: Final = ZoneInfo("UTC")
_NUMBERS: Final = frozenset({"byte", "short", "integer", "long"})
_AS_THEY_ARE: Final = frozenset({*_NUMBERS, "boolean", "double", "string", "binary", "float"})


def constant(expression: pb.Expression, zone: Zone) -> Any:
    """The value of a literal: as Python has it, TIMESTAMPs in UTC, None for null; NO_CONSTANT for anything else."""
    try:
        if expression.HasField("literal"):
            return _literal(expression.literal)
        if expression.HasField("expression_string"):
            return _text(tokenize(expression.expression_string.expression), zone)
        if expression.HasField("cast"):
            return _cast(constant(structured(expression.cast.expr), zone), target_of(expression.cast), zone)
        function = expression.unresolved_function
        if function.function_name == "negative" and len(function.arguments) == 1:
            inner = constant(function.arguments[0], zone)
            number = isinstance(inner, int | float | Decimal) and not isinstance(inner, bool)
            return -inner if number else NO_CONSTANT
    except (ValueError, OverflowError, InvalidOperation):
        pass
    return NO_CONSTANT


def target_of(cast: pb.Expression.Cast) -> str:
    """The type that a cast is to, as SQL calls it, as far as its name alone says it."""
    if cast.HasField("type_str"):
        return cast.type_str.upper()
    return _SQL_NAMES.get(cast.type.WhichOneof("kind") or "", "")


_SQL_NAMES: Final = {
    "byte": "TINYINT", "short": "SMALLINT", "integer": "INT", "long": "BIGINT", "double": "DOUBLE", "date": "DATE",
    "timestamp": "TIMESTAMP", "timestamp_ntz": "TIMESTAMP_NTZ",
}  # fmt: skip


def _cast(given: Any, target: str, zone: Zone) -> Any:
    """A constant as another type, where nothing is lost."""
    if isinstance(given, str):
        return _typed(target, given, zone) if target in _OF_TEXT else NO_CONSTANT
    if type(given) is date and target in ("TIMESTAMP", "TIMESTAMP_NTZ"):
        return _typed(target, given.isoformat(), zone)
    if isinstance(given, int | Decimal) and not isinstance(given, bool):
        if target == "DOUBLE":
            return float(given)
        if target in INTEGERS and isinstance(given, int):
            return given if abs(given) < 1 << (INTEGERS[target] - 1) else NO_CONSTANT
    return NO_CONSTANT


INTEGERS: Final = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "INTEGER": 32, "BIGINT": 64}
"""The bits of types for whole numbers."""
_OF_TEXT: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_NTZ"})


def _literal(literal: pb.Expression.Literal) -> Any:
    kind = literal.WhichOneof("literal_type") or ""
    match kind:
        case "null":
            return None
        case "decimal":
            return Decimal(literal.decimal.value)
        case "date":
            return _day(literal.date)
        case "timestamp":
            return _moment(literal.timestamp)
        case "timestamp_ntz":
            return _EPOCH + timedelta(microseconds=literal.timestamp_ntz)
        case _:
            return getattr(literal, kind) if kind in _AS_THEY_ARE else NO_CONSTANT


def _text(tokens: Sequence[Token], zone: Zone) -> Any:
    """A literal as SQL text has it."""
    match tokens:
        case [sign, number] if sign.is_symbol("-"):
            inner = _text([number], zone)
            return NO_CONSTANT if isinstance(inner, bool) or not isinstance(inner, int | float | Decimal) else -inner
        case [one] if one.kind == "string":
            return string_value(one)
        case [one] if one.kind == "number":
            return _number(one.text)
        case [one] if one.word in ("TRUE", "FALSE"):
            return one.word == "TRUE"
        case [one] if one.word == "NULL":
            return None
        case [kind, text] if text.kind == "string":
            return _typed(kind.word, string_value(text), zone)
    return NO_CONSTANT


def _number(text: str) -> Any:
    upper = text.upper()
    for suffix in ("BD", "L", "S", "Y"):
        if upper.endswith(suffix):
            bare = upper.removesuffix(suffix)
            return Decimal(bare) if suffix == "BD" else int(bare)
    if upper.endswith(("D", "F")):
        return NO_CONSTANT
    if upper.isdigit():
        return int(upper)
    return NO_CONSTANT if "E" in upper else Decimal(upper)


def _typed(kind: str, text: str, zone: Zone) -> Any:
    if kind == "DATE":
        days = to_days(text)
        return NO_CONSTANT if days is None else _day(days)
    if kind in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        micros = to_micros(text, zone.text, 0)
        bare_time = not text.lstrip()[:4].isdigit()  # of the current day
        return NO_CONSTANT if micros is None or bare_time else _moment(micros)
    if kind == "TIMESTAMP_NTZ":
        micros = to_local_micros(text)
        return NO_CONSTANT if micros is None else _EPOCH + timedelta(microseconds=micros)
    if kind == "X":
        return bytes.fromhex(text)
    return NO_CONSTANT


def _day(days: int) -> date:
    return _EPOCH.date() + timedelta(days=days)


def _moment(micros: int) -> datetime:
    return (_EPOCH.replace(tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(_UTC)
