"""BSON values as JSON text, as MongoDB's Java driver writes it.

Three modes: `PLAIN`, which the connector uses for text columns (an ObjectId as its hex digits, a date in ISO 8601),
`EXTENDED` (`outputExtendedJson`), and `RELAXED`, in which a whole document that did not fit is kept.
Sources: `com.mongodb.spark.sql.connector.schema.ConverterHelper`, `org.bson.json.StrictCharacterStreamJsonWriter`.
"""

from __future__ import annotations

import base64
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS

PLAIN: Final = "plain"
EXTENDED: Final = "extended"
RELAXED: Final = "relaxed"

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ODD: Final = re.compile(r"[^ !#-\[\]-~]")
_SHOWN: Final = frozenset(
    {"Lu", "Ll", "Lt", "Lo", "Nd", "Nl", "No", "Zs", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sc", "Sm", "Sk", "So"}
)
"""The kinds of characters that Java's driver writes as they are."""
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_9999_MS: Final = 253_402_300_799_999
_LAST_DAY_MS: Final = 86_400_000


def as_text(value: Any, mode: str = PLAIN) -> str:
    """A value as it stands in a text column: text as it is, everything else as JSON without quotes around it."""
    if type(value) is str:
        return value
    if type(value) is ObjectId and mode == PLAIN:
        return str(value)
    written = to_json(value, mode)
    if written.startswith('"') and written.endswith('"') and len(written) > 1:
        return written[1:-1]
    return written


def to_json(value: Any, mode: str) -> str:
    """A value as JSON."""
    if value is None:
        return "null"
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return str(writer(value, mode))
    for kind, found in _WRITERS.items():
        if isinstance(value, kind):
            return str(found(value, mode))
    raise TypeError(f"{type(value).__name__} is no BSON value")


def java_double(value: float) -> str:
    """`Double.toString`, as Java 19 and later have it: the shortest text of the value."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = repr(value)
        return plain if "e" not in plain else f"{value:f}"
    shortest = repr(value)
    if (
        len(shortest.lstrip("-").partition("e")[0].replace(".", "").strip("0")) == 1
        and float(two := f"{value:.1e}") == value
    ):
        shortest = two  # of two digits the nearest, where one would do
    digits, _, exponent = shortest.partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    shift = int(exponent or 0)
    every = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(every)
    power = len(whole) - leading - 1 + shift
    every = every.rstrip("0") or "0"
    return f"{sign}{every[0]}.{every[1:] or '0'}E{power}"


def quoted(text: str) -> str:
    """JSON text; what is no letter, number, sign or space is escaped."""
    return f'"{_ODD.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    short = _ESCAPES.get(char)
    if short is not None:
        return short
    code = ord(char)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return char if unicodedata.category(char) in _SHOWN else f"\\u{code:04x}"


def iso_date(ms: int) -> str:
    """A moment as `DateTimeFormatter.ISO_DATE_TIME` writes it in UTC."""
    if not -62_135_596_800_000 <= ms <= _YEAR_9999_MS:
        return _iso_far(ms)
    moment = _EPOCH + timedelta(milliseconds=ms)
    text = moment.replace(tzinfo=None).isoformat("T", "seconds")
    fraction = f".{ms % 1000:03}".rstrip("0") if ms % 1000 else ""
    return f"{text}{fraction}Z"


def _iso_far(ms: int) -> str:
    """The same for years that `datetime` does not have: 400 years have always as many days."""
    cycle_ms, years = 146_097 * _LAST_DAY_MS, 0
    while ms > _YEAR_9999_MS:
        ms, years = ms - cycle_ms, years + 400
    while ms < -62_135_596_800_000:
        ms, years = ms + cycle_ms, years - 400
    near = iso_date(ms)
    year = int(near[:4]) + years
    shown = f"+{year}" if year > 9999 else f"{'-' if year < 0 else ''}{abs(year):04}"
    return shown + near[4:]


def milliseconds(value: datetime | DatetimeMS) -> int:
    """A date of BSON as milliseconds since 1970."""
    if isinstance(value, DatetimeMS):
        return int(value)
    return (value.replace(tzinfo=UTC) - _EPOCH) // _MS


def _document(value: Mapping[str, Any], mode: str) -> str:
    return "{" + ", ".join(f"{quoted(key)}: {to_json(one, mode)}" for key, one in value.items()) + "}"


def _array(value: list[Any], mode: str) -> str:
    return "[" + ", ".join(to_json(one, mode) for one in value) + "]"


def _number(value: int, mode: str) -> str:
    return f'{{"$numberInt": "{value}"}}' if mode == EXTENDED else str(value)


def _long(value: int, mode: str) -> str:
    return f'{{"$numberLong": "{int(value)}"}}' if mode == EXTENDED else str(int(value))


def _double(value: float, mode: str) -> str:
    text = java_double(value)
    return text if mode != EXTENDED and math.isfinite(value) else f'{{"$numberDouble": "{text}"}}'


def _date(value: datetime | DatetimeMS, mode: str) -> str:
    ms = milliseconds(value)
    if mode == PLAIN:
        return f'"{iso_date(ms)}"'
    if mode == RELAXED and 0 <= ms <= _YEAR_9999_MS:
        fraction = f".{ms % 1000:03}" if ms % 1000 else ""
        return f'{{"$date": "{iso_date(ms - ms % 1000)[:-1]}{fraction}Z"}}'
    return f'{{"$date": {{"$numberLong": "{ms}"}}}}'


def _binary(value: bytes, mode: str) -> str:
    text = base64.b64encode(value).decode()
    kind = value.subtype if isinstance(value, Binary) else 0
    return f'"{text}"' if mode == PLAIN else f'{{"$binary": {{"base64": "{text}", "subType": "{kind:02x}"}}}}'


def _decimal(value: Decimal128, mode: str) -> str:
    return f'"{value}"' if mode == PLAIN else f'{{"$numberDecimal": "{value}"}}'


def _object_id(value: ObjectId, mode: str) -> str:
    return f'"{value}"' if mode == PLAIN else f'{{"$oid": "{value}"}}'


_FLAGS: Final = {
    re.IGNORECASE: "i",
    re.MULTILINE: "m",
    re.DOTALL: "s",
    re.VERBOSE: "x",
    re.UNICODE: "u",
    re.LOCALE: "l",
}


def _regex(value: Regex[str], _mode: str) -> str:
    options = "".join(sorted(letter for flag, letter in _FLAGS.items() if value.flags & flag))
    return f'{{"$regularExpression": {{"pattern": {quoted(str(value.pattern))}, "options": "{options}"}}}}'


def _timestamp(value: Timestamp, _mode: str) -> str:
    return f'{{"$timestamp": {{"t": {value.time}, "i": {value.inc}}}}}'


def _code(value: Code, mode: str) -> str:
    if value.scope is None:
        return f'{{"$code": {quoted(str(value))}}}'
    return f'{{"$code": {quoted(str(value))}, "$scope": {_document(value.scope, mode)}}}'


_WRITERS: Final[dict[type, Any]] = {
    Code: _code,
    str: lambda value, _: quoted(value),
    bool: lambda value, _: "true" if value else "false",
    Int64: _long,
    int: _number,
    float: _double,
    dict: _document,
    list: _array,
    ObjectId: _object_id,
    datetime: _date,
    DatetimeMS: _date,
    Decimal128: _decimal,
    Binary: _binary,
    bytes: _binary,
    Regex: _regex,
    Timestamp: _timestamp,
    MinKey: lambda *_: '{"$minKey": 1}',
    MaxKey: lambda *_: '{"$maxKey": 1}',
    DBRef: lambda value, mode: _document(value.as_doc(), mode),
}
"""In an order in which a subclass stands before its base."""
