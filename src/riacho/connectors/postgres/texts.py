"""Values as PostgreSQL writes them, column by column, as Arrow arrays of the types that are wanted.

What is common is cast by Arrow as a whole. What Arrow does not read (infinity, years BC, digits beyond a scale, nested
arrays) is read value by value, and only in columns where it occurs. Sessions write as `client` has set them: UTC, ISO
dates, bytes in hexadecimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DAY_US: Final = 86_400_000_000
_LAST_DAY: Final = 2932896
"""9999-12-31, which stands for infinity, as in Spark's JDBC source; minus infinity is 0001-01-03."""
_FIRST_DAY: Final = -719160
_LONGEST_DECIMAL: Final = 38
_DATE = re.compile(r"(\d{4,})-(\d\d)-(\d\d)")
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-]\d\d(?::\d\d){0,2})?")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{},])|([^{},"]+)', re.DOTALL)


class BadValueError(ValueError):
    """A value that its column's type cannot hold. `value` is its text."""

    def __init__(self, value: str, wanted: pa.DataType) -> None:
        super().__init__(f"{value[:100]!r} is no {wanted}")
        self.value = value
        self.wanted = wanted


def as_arrow(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """`texts`, strings, as an array of the type `wanted`. Raises BadValueError."""
    if texts.type.equals(wanted):
        return texts
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), wanted)
    if pa.types.is_list(wanted):
        return _lists(texts, wanted)
    reader = _reader(wanted)
    try:
        return reader(texts, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(texts, wanted)


def _reader(wanted: pa.DataType) -> Callable[[pa.Array, pa.DataType], pa.Array]:
    if pa.types.is_boolean(wanted):
        return _booleans
    if pa.types.is_binary(wanted):
        return _bytes
    if pa.types.is_timestamp(wanted):
        return _timestamps
    if pa.types.is_decimal(wanted):
        return _decimals
    return lambda texts, kind: texts.cast(kind)


def _booleans(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    known = pa.array(["t", "f", "true", "false", "1", "0"])
    if (
        not pc.all(pc.is_in(texts, value_set=known)).as_py()
        and pc.any(pc.invert(pc.is_in(texts.drop_null(), value_set=known))).as_py()
    ):
        raise BadValueError(_first(texts, lambda text: text not in known.to_pylist()), wanted)
    return (
        pc.is_in(texts, value_set=pa.array(["t", "true", "1"]))
        if not texts.null_count
        else pc.if_else(
            pc.is_valid(texts), pc.is_in(texts, value_set=pa.array(["t", "true", "1"])), pa.scalar(None, pa.bool_())
        )
    )


def _bytes(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """What begins with a backslash and an x is hexadecimal; other text, as of bit strings, is its own bytes."""
    return pa.array(
        [
            None if text is None else bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()
            for text in texts.to_pylist()
        ],
        wanted,
    )


def _decimals(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """By way of 76 digits: Arrow's cast to fewer runs over without a word. Longer texts are read one by one."""
    if pc.max(pc.binary_length(texts)).as_py() > _LONGEST_DECIMAL:
        return _one_by_one(texts, wanted)
    return texts.cast(pa.decimal256(76, wanted.scale)).cast(wanted)


def _timestamps(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """What has no zone is in UTC where an instant is wanted; the zone of what has one is always UTC."""
    given = texts.drop_null()
    if pc.all(pc.ends_with(given, "+00")).as_py():
        texts = pc.utf8_slice_codeunits(texts, 0, -3)
    return texts.cast(pa.timestamp("us")).cast(wanted) if wanted.tz is None else _instants(texts, wanted)


def _instants(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    return pc.assume_timezone(texts.cast(pa.timestamp("us")), "UTC").cast(wanted)


def _one_by_one(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    read = _READERS.get(wanted.id)
    if read is None:
        raise BadValueError(_first_bad(texts, wanted), wanted) from None
    found = [None if text is None else read(text, wanted) for text in texts.to_pylist()]
    if pa.types.is_date(wanted):
        return pa.array(found, pa.int32()).cast(wanted)
    if pa.types.is_timestamp(wanted):
        return pa.array(found, pa.int64()).cast(wanted)
    return pa.array(found, wanted)


def _first(texts: pa.Array, wrong: Callable[[str], bool]) -> str:
    found: str = next(text for text in texts.drop_null().to_pylist() if wrong(text))
    return found


def _first_bad(texts: pa.Array, wanted: pa.DataType) -> str:
    def wrong(text: str) -> bool:
        try:
            pa.array([text]).cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return True
        return False

    return _first(texts, wrong)


def _decimal(text: str, wanted: pa.DataType) -> Decimal:
    """Rounded half up to the scale, as Spark's JDBC source rounds."""
    try:
        value = Decimal(text).quantize(Decimal(1).scaleb(-wanted.scale), ROUND_HALF_UP, Context(prec=2000))
    except InvalidOperation:
        raise BadValueError(text, wanted) from None
    if not value.is_finite() or len(value.as_tuple().digits) > wanted.precision:
        raise BadValueError(text, wanted)
    return value


def _date(text: str, wanted: pa.DataType) -> int:
    """Days since 1970."""
    if text in ("infinity", "-infinity"):
        return _LAST_DAY if text == "infinity" else _FIRST_DAY
    found = _DATE.match(text)
    if found is None:
        raise BadValueError(text, wanted)
    year, month, day = (int(part) for part in found.groups())
    if text.endswith(" BC"):
        year = 1 - year
    months = np.datetime64(0, "M") + np.timedelta64((year - 1970) * 12 + month - 1, "M")
    return int(months.astype("datetime64[D]").astype(np.int64)) + day - 1


def _timestamp(text: str, wanted: pa.DataType) -> int:
    """Microseconds since 1970; a time without a date is of that first day."""
    if text == "infinity":
        return (_LAST_DAY + 1) * _DAY_US - 1_000
    if text == "-infinity":
        return _FIRST_DAY * _DAY_US
    dated = _DATE.match(text)
    days = _date(text, wanted) if dated else 0
    clock = _TIME.search(text, dated.end() if dated else 0)
    if clock is None:
        if dated and text.removesuffix(" BC") == dated[0]:
            return days * _DAY_US
        raise BadValueError(text, wanted)
    hours, minutes, seconds = (int(part) for part in clock.groups()[:3])
    micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((clock[4] or "0").ljust(6, "0"))
    return days * _DAY_US + micros - _zone_us(clock[5])


def _zone_us(zone: str | None) -> int:
    if zone is None:
        return 0
    seconds = 0
    for part, unit in zip(zone[1:].split(":"), (3600, 60, 1), strict=False):
        seconds += int(part) * unit
    return (-seconds if zone[0] == "-" else seconds) * 1_000_000


_READERS: Final[dict[int, Callable[[str, pa.DataType], Any]]] = {
    pa.decimal128(1, 0).id: _decimal,
    pa.date32().id: _date,
    pa.timestamp("us").id: _timestamp,
}


def _lists(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Array literals: `{1,2,NULL}`, `{{a,b},{"c d",e}}`, `[0:1]={1,2}`."""
    given = texts.drop_null()
    flat = r'^\{[^"\\{}\[\]]*\}$'
    plain = not pa.types.is_list(wanted.value_type) and pc.all(pc.match_substring_regex(given, flat)).as_py()
    if plain:
        inner = pc.utf8_slice_codeunits(texts, 1, -1)
        parts = pc.split_pattern(inner, ",")
        empty = pc.equal(inner, "")
        if pc.any(empty).as_py():
            parts = pc.if_else(empty, pa.scalar([], parts.type), parts)
        leaves = parts.flatten()
        leaves = pc.if_else(pc.equal(leaves, "NULL"), pa.scalar(None, pa.string()), leaves)
        lengths = pc.fill_null(pc.list_value_length(parts), 0).to_numpy(zero_copy_only=False)
        return _rebuilt(lengths, texts, as_arrow(leaves, wanted.value_type), wanted)
    nested = [None if text is None else _parsed(text, wanted) for text in texts.to_pylist()]
    return _nested(nested, wanted)


def _nested(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Lists of lists of texts as an array; whatever is no list where one is wanted raises BadValueError."""
    if not pa.types.is_list(wanted):
        for value in values:
            if isinstance(value, list):
                raise BadValueError(str(value), wanted)
        return as_arrow(pa.array(values, pa.string()), wanted)
    for value in values:
        if value is not None and not isinstance(value, list):
            raise BadValueError(value, wanted)
    lengths = np.array([len(value or ()) for value in values], np.int32)
    leaves = _nested([leaf for value in values for leaf in value or ()], wanted.value_type)
    return _rebuilt(lengths, pa.array([value is None for value in values]), leaves, wanted, absent=True)


def _rebuilt(lengths: Any, given: pa.Array, leaves: pa.Array, wanted: pa.DataType, *, absent: bool = False) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    missing = given if absent else pc.is_null(given)
    found = pa.ListArray.from_arrays(pa.array(offsets), leaves, mask=missing)
    return found.cast(wanted)


def _parsed(text: str, wanted: pa.DataType) -> Any:
    if text.startswith("["):
        text = text.partition("=")[2]
    stack: list[list[Any]] = [[]]
    for quoted, mark, bare in _tokens(text):
        if mark == "{":
            stack.append([])
        elif mark == "}":
            if len(stack) < 2:
                raise BadValueError(text, wanted)
            done = stack.pop()
            stack[-1].append(done)
        elif mark != ",":
            stack[-1].append(quoted if bare is None else None if bare == "NULL" else bare)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise BadValueError(text, wanted)
    return stack[0][0]


def _tokens(text: str) -> Iterable[tuple[str, str | None, str | None]]:
    for found in _TOKEN.finditer(text):
        quoted, mark, bare = found.groups()
        yield re.sub(r"\\(.)", r"\1", quoted or "", flags=re.DOTALL), mark, bare
